// Package netcheck is what the probers that open connections share: the
// timeline of a connection, the words for what went wrong on it, and the days
// that its certificates have left.
//
// Importing it compiles health and the standard library.
package netcheck
