// Package alert decides when something is wrong, and tells the right people, once, until
// it is over.
//
// An [Engine] evaluates rules over what it is fed, and hands alerts to a [Router], which
// groups them, leaves out what is muted, and delivers through notifiers:
//
//	store, err := sqloutbox.New(ctx, sqloutbox.Config{DB: db})
//	...
//	router, err := alert.NewRouter(alert.RouterConfig{
//		Targets: []alert.Target{
//			{Name: "slack", Notifier: slackAlerts, Fallback: "mail"},
//			{Name: "mail", Notifier: onCallMail},
//			{Name: "sms", Notifier: sms, Pages: true},
//		},
//		Routes: []alert.Route{
//			{Name: "critical", Match: alert.Matcher{Severities: []alert.Severity{alert.Critical}}, Targets: []string{"slack", "mail", "sms"}},
//			{Name: "all", Targets: []string{"slack"}},
//		},
//		Store: store,
//	})
//	...
//	err = router.Start(ctx)
//	engine, err := alert.NewEngine(alert.EngineConfig{
//		Rules: alert.CriticalRules(alert.CriticalLimits{}), Inputs: alert.CriticalInputs(), Out: router, Restore: restored,
//	})
//	...
//	monitor, err := health.New(health.Config{Checks: checks, Hooks: engine.HealthHooks("production")})
//
// # Rules
//
// A [Rule] applies a [Condition] to every source of an [Input]: each check and each
// service has an alert of its own, whose [Key] is made of names and never of values.
// Missing data, an evaluation that failed and a condition that holds are three things;
// the first two raise alerts of their own, less severe ones, unless the rule says
// otherwise. A rule whose input nothing feeds is an error of the configuration, and an
// input that is declared and never reports is missed. Time in which the machine was
// suspended, or the clock was set, counts as missing data. After a restart alerts go on
// as they were: nobody is paged again, and nothing ends before it was looked at twice.
//
// # Promises of the router
//
//   - What was told as firing to a target is told as over to the same target, whatever
//     silence, window or inhibition came since.
//   - A message is kept until its target has taken it, over crashes and outages, if
//     there is a [Store]. A target that refuses it, or does not take it for long, has its
//     fallback told.
//   - A message is sent again only if it is not known to have arrived. It then says that
//     it may be a repetition, unless the service recognises it by its key.
//   - The two audiences never mix: alerts go to operators, posts to everyone.
//   - Targets that page are told of critical alerts of production, unless they are
//     configured otherwise, and never of a test environment.
//   - A target that fails delays no other, and a storm becomes one digest.
//   - A [Limit] bounds how much is told at one address. What is critical, and what asks
//     somebody, does not wait for it, and what waits is not lost.
//   - Why somebody was not told is listed, in [Router.Alerts].
//
// # What it does not do
//
// It escalates nothing: who is told next if nobody acknowledges is a matter of package
// incident, whose manager is a [Notifier]. It keeps no history beyond what is open.
//
// # Concurrency, errors and cost
//
// All methods are safe for concurrent use. A notification that did not arrive is an
// [*Error]: refused, limited, proven unsent, or not known. Importing this package
// compiles the standard library, the root package and health.
package alert
