// Package alertmanager tells Prometheus Alertmanager of alerts, by its API of version 2, and
// takes the alerts of which it tells by its webhook, of version 4.
//
//	notifier, err := alertmanager.New(alertmanager.Config{URL: "http://alertmanager:9093"})
//	...
//	router, err := alert.NewRouter(alert.RouterConfig{
//		Targets: []alert.Target{{Name: "alertmanager", Notifier: notifier, Storm: 10_000, PerSecond: 100, Burst: 100}},
//		Routes: []alert.Route{{
//			Name: "all", Targets: []string{"alertmanager"}, Wait: -1,
//			GroupBy: []string{"rule", "environment", "entity", "reason"}, // Alertmanager groups
//		}},
//		...
//	})
//	go notifier.Run(ctx, func() []alert.Alert { return alertmanager.Told(router, "alertmanager") })
//
//	receiver, err := alertmanager.NewHandler(alertmanager.HandlerConfig{Out: router, Token: token})
//	mux.Handle("/hooks/alertmanager", receiver)
//
// # Out: an alert is its labels
//
// Alertmanager knows an alert by all of its labels together: alertname, which is the rule,
// environment, entity, severity, reason, and what [alert.Alert].Labels and Config.Labels add.
// What is told again is therefore recognised. A changed severity is another alert to it: the
// one with the severity from before is ended.
//
// A notification has at most 30 alerts, and a digest stands for many. Let each alert be a
// conversation of its own, as above, and leave grouping and storms to Alertmanager.
//
// # Out: nothing ends by silence
//
// Alertmanager ends an alert of which it is not told for resolve_timeout, unless it was given
// an end, and forgets all alerts when it restarts
// (https://prometheus.io/docs/alerting/latest/alerts_api/). Each alert is therefore told with
// an end that is Config.Hold in the future, a day, and told again by [Notifier.Run] every
// minute for as long as it fires: an Alertmanager that restarted knows it a minute later. Ends
// are told again for 5 minutes. What is told again comes from the router, which keeps it over
// restarts. If this program is gone for good, its alerts go on firing for Hold, since nobody
// knows that they are over.
//
// # In
//
// Alerts are handed to an [alert.Handler], a router for example, with the severity that their
// label says. Alertmanager signs nothing; it sends a bearer token:
//
//	receivers:
//	  - name: runbook
//	    webhook_configs:
//	      - url: https://ops.example.com/hooks/alertmanager
//	        http_config: {authorization: {credentials_file: /etc/alertmanager/token}}
//
// # What it does not do
//
// It posts nothing for people and no notices: Alertmanager has only alerts. Two Alertmanagers of
// a cluster are two targets, each told by itself, as Alertmanager wants it.
//
// # Concurrency, errors and cost
//
// All methods are safe for concurrent use. Errors are [*alert.Error]. Importing this package
// compiles alert and go-retryablehttp.
package alertmanager
