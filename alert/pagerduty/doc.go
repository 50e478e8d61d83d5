// Package pagerduty tells PagerDuty of alerts, by its Events API v2, and listens to what
// people do there.
//
//	notifier, err := pagerduty.New(pagerduty.Config{
//		RoutingKey: key, // of an integration of the type Events API v2
//		Playbooks:  "https://runbook.example.edu/playbooks/",
//	})
//	...
//	targets := []alert.Target{{Name: "pagerduty", Notifier: notifier, Pages: true, Fallback: "sms"}}
//	...
//	webhook, err := pagerduty.NewWebhook(pagerduty.WebhookConfig{
//		Secrets: []runbook.Secret{secret}, // of the webhook subscription
//		OnEvent: func(ctx context.Context, e pagerduty.Event) error {
//			if e.Type != pagerduty.Acknowledged || !e.Person {
//				return nil
//			}
//			return router.AcknowledgeConversation(ctx, e.Key, alert.Acknowledgement{By: e.By, At: e.At})
//		},
//	})
//	...
//	mux.Handle("POST /hooks/pagerduty", webhook)
//
// # What people see
//
// A conversation is an alert at PagerDuty: the first message triggers it, messages that
// follow are entries of its log and change its severity, the last one resolves it. When
// everything that fires is acknowledged, wherever that was done, it is acknowledged
// there too. PagerDuty stays silent about what joins an acknowledged conversation, so
// let a route that ends here group by rule, environment and entity.
//
// A test message triggers an alert of severity info; whoever tests resolves it. Posts
// and notices are refused: nobody is to be woken by them.
//
// # Twice
//
// The deduplication key is [alert.Notification].Key: PagerDuty recognises a message that
// comes again, and a lost answer opens nothing twice. PagerDuty goes on to the next
// person by itself, so [Notifier.Escalates]: the router pages through nobody else of what
// PagerDuty was told, unless PagerDuty does not take the message and the fallback does.
//
// # What it does not do
//
// It reads nothing from PagerDuty and manages no schedules. Images are not sent.
//
// # Concurrency, errors and cost
//
// Everything is safe for concurrent use. Errors are [*alert.Error]. The routing key and
// the secrets of webhooks are in no error and no receipt. Importing this package compiles
// alert and the module's HTTP path.
package pagerduty
