// Package webhook tells programs by signed HTTP requests, and takes such requests: between two
// programs that use this module, or to and from any other.
//
//	notifier, err := webhook.New(webhook.Config{
//		URL:    runbook.NewSecret("https://ops.example.com/hooks/runbook"),
//		Secret: runbook.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
//	})
//	...
//	receiver, err := webhook.NewHandler(webhook.HandlerConfig{
//		Secrets: []runbook.Secret{secret},
//		OnMessage: func(ctx context.Context, m webhook.Message) error {
//			return tell(ctx, m.Kind, m.Title)
//		},
//	})
//	mux.Handle("/hooks/runbook", receiver)
//
// # The request
//
// It is a POST of a [Message] as JSON, signed as Standard Webhooks 1.0 lay down
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md),
// for which there are libraries in most languages:
//
//	webhook-id: 9f86d081884c7d659a2feaa0c55ad015-1
//	webhook-timestamp: 1759633920
//	webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
//
// The signature is the HMAC-SHA256, in base64, of the ID, a full stop, the time stamp, a full
// stop and the body. The key is the secret; one that begins with "whsec_" is base64. The ID is
// that of the message, the same whenever it is sent again: it is the key by which a receiver
// recognises a repetition. The time stamp is that of the attempt, in seconds.
//
// Any answer of 2xx means that the message was taken. 429 and its Retry-After are honoured.
// Any other 4xx, and a redirect, is a refusal; of anything else it is not known whether the
// message was taken, and it comes again.
//
// # Versions
//
// [Message].Version is 1. Fields may be added to a version: a receiver ignores what it does not
// know. Whatever else changes makes a new version, which a receiver of this one refuses.
//
// # What it does not do
//
// It shortens nothing and escapes nothing: JSON does. It sends no secrets but the signature;
// the texts of alerts may have text from outside.
//
// # Concurrency, errors and cost
//
// All methods are safe for concurrent use. Errors are [*alert.Error]; the address is in none of
// them. Importing this package compiles alert and go-retryablehttp.
package webhook
