// Package alerttest has what hosts and notifiers are tested with: [Recorder], a notifier
// that keeps what it was told; [TestNotifier], which checks what alert.Notifier asks of
// an implementation; and counterparts of the services that notify people, in memory.
//
// A counterpart is an http.Handler whose zero value is ready to use, without a
// testing.T. Its Client method returns a client that reaches it whatever the address, so
// that the real notifier is used:
//
//	service := &alerttest.Slack{Token: "xoxb-1"}
//	notifier, err := slack.New(slack.Config{Token: runbook.NewSecret("xoxb-1"), HTTP: service.Client(), ...})
//
// [SMTP], a mail server, has a Dial method instead.
//
// Counterparts are built from what the services publish: they refuse fields and paths that
// are not documented, enforce sizes, rates and credentials, and are told to fail by a
// [Fault], after the message had its effect if need be. They are safe for concurrent use.
//
// # Concurrency and cost
//
// Everything here is safe for concurrent use and works inside testing/synctest.
// Importing this package compiles alert and a transport in memory, besides the standard library.
package alerttest
