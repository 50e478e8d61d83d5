// Package dashboard is the private page of a host: what somebody who was called at three in
// the morning sees on a phone.
//
//	board, err := dashboard.New(dashboard.Config{
//		Title: "QA automation", Actor: sessions.Actor, Store: store,
//		Runner: runner, Manager: manager, Automation: automation, Escalations: escalations, Monitor: monitor,
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/ops/", http.StripPrefix("/ops", board))
//
// The first page says what is wrong and since when, who knows of it, who was called, what is
// running, and what waits for a decision; and it has the switch that stops all automation.
// A decision is shown with its plan and what was found so far beside the buttons.
//
// # How commands are given
//
// Every button is a plain form. It works by keyboard and without scripts, and leads to a
// page that shows what came of it. Package httpapi carries it out, in the same process and
// in the name of who is signed in: the roles, the record and the refusals are those of the
// API. What is approved is the plan that was shown, by its hash; if it is another one now,
// nothing is approved, and the new plan is shown.
//
// A form that is sent twice is carried out once in this process. Across processes the forms
// carry what was shown: an incident that somebody else has taken meanwhile, a level that was
// called meanwhile, a switch that was turned meanwhile are refused, and shown as they are
// now.
//
// Commands come from pages of this host only: [http.CrossOriginProtection] refuses the
// others. A cookie that says who somebody is should have SameSite=Lax or Strict besides. The
// pages may run no script but their own, and cannot be put into a frame.
//
// # Progress
//
// One small script puts what server-sent events bring into the page: the steps of a run, and
// the headline. It moves no button: when something has changed that can be acted on, it says
// so, and loads the page again if nobody is using it. Without scripts, ?refresh=30 makes a
// page load itself again.
//
// # When something cannot be read
//
// Each source is asked on its own, and has [Config].Timeout. What could not be read is said
// at the top of the page, and is never shown as nothing.
package dashboard
