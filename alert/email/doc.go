// Package email tells people of alerts and posts by mail.
//
//	mail, err := email.New(email.Config{
//		Host:     "smtp.office365.com", // port 587, with STARTTLS, unless told otherwise
//		Username: "runbook@example.edu", Password: password,
//		From:     "Operations <runbook@example.edu>",
//		To:       []string{"On call <on-call-team@example.edu>"},
//		Playbooks: "https://runbook.example.edu/playbooks/",
//	})
//	...
//	targets := []alert.Target{{Name: "mail", Notifier: mail}}
//
// # What people see
//
// A mail has the text of the notification as plain text, and as HTML with a word and a
// colour for how things are and links to the playbooks. The subject is the title, so that
// it can be read on a locked screen. The mails of a conversation are one thread: each refers
// to the first one and to the one before, by Message-IDs that are made of
// [alert.Notification].Key and Seq. (Gmail shows as a thread only what has the same subject
// besides.) Critical alerts have a high importance. Mails are marked as generated
// (Auto-Submitted, RFC 3834), so that no vacation notice answers them.
//
// Who is not taken by the server does not keep the others from being told; they read in the
// mail who was not reached. If nobody is taken, the mail is refused.
//
// # Encryption
//
// [StartTLS], the zero value, and [ImplicitTLS] send nothing before the connection is
// encrypted and the server's certificate is verified: a server that does not offer STARTTLS
// is refused. [Opportunistic] encrypts if the server offers to, and sends no password
// otherwise, but to a server on the same machine.
//
// # Twice
//
// A mail that is sent again has the same Message-ID. Whether the receiver drops it is not
// known, so it also says that it is a possible repeat.
//
// # What it does not do
//
// It reads no bounces: a mail has arrived when the server has taken it. It signs nothing;
// the server does (DKIM).
//
// # Concurrency, errors and cost
//
// A [Notifier] is safe for concurrent use; each mail has a connection of its own. Errors are
// [*alert.Error], whose Status is the code of the server's reply. A reply of 5xx, a
// certificate that is not valid, and a server that cannot do what Config asks for are
// refusals: trying again is of no use, and the fallback is told. A connection that breaks
// before the end of the mail was sent proves that nothing was sent; after that it is not
// known. Importing this package compiles alert and github.com/wneessen/go-mail.
package email
