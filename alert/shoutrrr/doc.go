// Package shoutrrr tells the long tail of services of alerts, through
// github.com/nicholas-fedor/shoutrrr: Discord, Google Chat, Matrix, Mattermost, Teams,
// Telegram, ntfy, Gotify, Pushover and others.
//
//	notifier, err := shoutrrr.New(shoutrrr.Config{
//		URL: runbook.NewSecret("ntfy://:token@ntfy.example.edu/alerts"),
//	})
//	...
//	targets := []alert.Target{{Name: "ntfy", Notifier: notifier}}
//
// The address says which service it is; the forms are at
// https://shoutrrr.nickfedor.com/latest/services/overview/. It has the credentials in it, and
// is a secret as a whole: of it, only the name of the service is in an error. Use a package
// of its own for a service that has one here: those thread, update and resolve.
//
// # What people see
//
// A service tells nothing of a message by which it could be found again. The receipt is
// empty, and each notification is a message of its own, which says all there is to say.
//
// # Twice
//
// A library that says no more than "error" leaves open whether the message arrived: every
// error of a send is an outcome that is not known. What is sent again says that it may be a
// repetition.
//
// # What it does not do
//
// Text from outside cannot mention everybody: @everyone, @here, @channel and @all, and what
// begins with <! or <@, are broken by an invisible character. Other markup of the many
// services is not escaped.
//
// The library knows no context. When the context ends, [Notifier.Notify] returns, and the
// send goes on until the service answers or the library gives up, which it does not do for
// all services; no more than four sends are under way. It uses the transport of net/http,
// with the proxy that the environment names. An address of Matrix with a password logs in
// for each message; give it an access token.
//
// # Concurrency, errors and cost
//
// A [Notifier] is safe for concurrent use. Errors are [*alert.Error]. Importing this package
// compiles the whole of shoutrrr, which adds about 3 MB to a program.
package shoutrrr
