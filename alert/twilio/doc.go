// Package twilio tells people of alerts on their phones, by text message or by a call that
// reads the alert to them, through Twilio.
//
//	sms, err := twilio.New(twilio.Config{
//		AccountSID: sid, AuthToken: token,
//		From: "+61400111333", To: "+61400111222",
//		Zone: sydney,
//	})
//	...
//	targets := []alert.Target{{Name: "sms", Notifier: sms, Pages: true, Fallback: "mail"}}
//
// # What people see
//
// A text message begins with what is wrong, goes on with the playbook and who takes care of
// it, and ends with what was found, as much as fits into Config.Segments parts. How many
// parts that are is counted before it is sent, in both alphabets: GSM-7 holds 160
// characters, or 153 a part, and UCS-2 holds 70, or 67. A text is written in GSM-7 unless
// Config.Unicode is set: é stays, ē becomes e, and a picture a question mark.
//
// A [Notifier] whose Config.Voice is set calls, and says the same twice, without what was
// found and without addresses, of what somebody must get up for: what is new, what has grown,
// reminders and tests. That it is over, or all taken care of by somebody, and notices, come as
// text messages: nobody is called to hear that they may sleep.
//
// Each number is a target of its own, so that the outcome for one does not repeat the
// message to another.
//
// # Twice
//
// Twilio has no key by which it would recognise a message. Whatever may have arrived
// already says "(possible repeat)". A message stands alone: there are no threads, and the
// receipt is the SID, for whoever looks into Twilio's logs.
//
// # What it does not do
//
// It does not follow what becomes of a message after Twilio has taken it, reads no replies,
// and acknowledges nothing.
//
// # Concurrency, errors and cost
//
// A [Notifier] is safe for concurrent use. Errors are [*alert.Error], with Twilio's code. The
// SID of the account, the token and the numbers are in no error. Importing this package
// compiles alert and the module's HTTP path.
package twilio
