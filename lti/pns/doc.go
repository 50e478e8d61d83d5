// Package pns is the tool's side of the Platform Notification Service 1.0: a
// platform posts signed notices to an address that the tool registered, for
// example when a course was copied.
//
// A [Client] registers addresses, a [Receiver] is the handler behind them:
//
//	receiver, err := pns.NewReceiver(pns.ReceiverConfig{
//		Verify: tool.VerifyNotice, // of the *lti.Tool
//		Handle: func(ctx context.Context, n lti.Notice) error {
//			return queue.Store(ctx, n.Issuer, n.ClientID, n.ID, n.Claims) // and no work
//		},
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("POST /lti/notices", receiver)
//
// Canvas sends a notice once and never again, whatever the answer is (canvas-lms,
// doc/api/pns.md), and waits for it. So Handle stores, and the work is done later:
// what Handle cannot store is lost. Another platform may send a notice again, so
// whoever does the work must not mind a second one with the same
// [lti.Notice].ID of the same issuer and client.
//
// Client and Receiver are safe for concurrent use. Importing it compiles what
// package lti does.
package pns
