// Package slack tells people in a Slack channel: a conversation is a thread, and its first
// message shows how things are now.
//
//	alerts, err := slack.New(slack.Config{
//		Token:   runbook.NewSecret(token), // of a bot with the scope chat:write
//		Channel: "#qa-automation-alerts",
//		Buttons: true,
//	})
//	...
//	router, err := alert.NewRouter(alert.RouterConfig{
//		Targets: []alert.Target{{Name: "slack-alerts", Notifier: alerts, Fallback: "mail"}},
//		...
//	})
//	actions, err := slack.NewActionsHandler(slack.ActionsConfig{
//		SigningSecret: runbook.NewSecret(signingSecret),
//		OnAction: func(ctx context.Context, a slack.Action) error {
//			return router.Acknowledge(ctx, a.Alert, alert.Acknowledgement{By: a.UserName})
//		},
//	})
//	mux.Handle("/slack/actions", actions)
//
// # What people see
//
// The first message of a conversation has a header, a coloured bar, the whole text, a line
// that says the state in words, and, with Buttons, one that acknowledges. Whatever comes
// later is a reply in its thread, and changes the first message, which is red, orange or
// yellow while it fires, blue when somebody takes care of it, and green when it is over.
// Replies that must not be missed are shown in the channel as well: reminders, what has got
// worse, and posts.
//
// With Webhook instead of Token each message stands alone, since an incoming webhook tells
// no time stamp: there are no threads, and nothing changes afterwards.
//
// # Texts from outside
//
// All texts are plain text, in which &, < and > are escaped and names are not looked up:
// they mention nobody and link nothing. See
// https://docs.slack.dev/messaging/formatting-message-text.
//
// # What it does not do
//
// It does not pace: Slack takes one message a second for a channel, with short bursts
// (https://docs.slack.dev/apis/web-api/rate-limits), which is what a target of alert.Router
// does if nothing else is configured. Let one target have a channel. A post has no key by
// which Slack would recognise it: one that may have arrived already begins with "(possible
// repeat)".
//
// # Concurrency, errors and cost
//
// All methods are safe for concurrent use. Errors are [*alert.Error] with Slack's own code.
// Importing this package compiles alert and go-retryablehttp.
package slack
