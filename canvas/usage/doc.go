// Package usage says how a program uses a Canvas: a report of calls, errors, cost
// and throttling, and unusual patterns in the logs of who did what.
//
//	collector, err := usage.New(usage.Config{})
//	if err != nil {
//		return err
//	}
//	client, err := canvas.New(canvas.Config{…, Hooks: canvas.Hooks{OnAttempt: collector.Observe}})
//	…
//	err = collector.Report().WriteText(os.Stdout) // or encoding/json
//
//	log, err := usage.NewAuditLog(usage.AuditLogConfig{Client: client})
//	…
//	events := usage.FromAudit(log.AuditEvents(ctx, incident.AuditQuery{From: monthAgo}))
//	found, err := usage.Analyze(usage.Rules{From: yesterday}, events)
//	for _, f := range found.Findings {
//		fmt.Println(f)
//	}
//
// [Quota] and [AuditLog] are the ports of package incident with the same names.
//
// # Patterns
//
// [Analyze] has a few rules that can be explained to the person who is asked
// about a finding; each finding names its rule, its evidence and its counts. A
// finding is a reason to look, not a verdict. People and addresses are numbered
// instead of named unless the host asks for their names.
//
// # What it does not do
//
// It keeps nothing on disk, sees only the calls of this process (and, by the
// headers, the units that others with the same token use), and changes no limit:
// canvas.Throttle.SetLimit does.
//
// All types are safe for concurrent use unless they say otherwise. Importing it
// compiles the module's root, canvas and what that needs (go-retryablehttp,
// x/oauth2, x/time/rate), health and incident.
package usage
