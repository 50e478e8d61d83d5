// Package lti has the tests of package lti that need a real browser: cookies in
// frames of other sites, the platform's storage, and what people see.
package lti
