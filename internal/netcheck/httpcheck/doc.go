// Package httpcheck is what the probers that make HTTP requests share: checking
// what a request is configured with, sending a credential without showing it,
// and the words for answers that are refusals, or no answers at all.
//
// Importing it compiles the module's root, health, netcheck and the standard
// library.
package httpcheck
