// Package httpapi serves playbooks, their runs, approvals and incidents over HTTP: what an
// operations page, a chat bot or a script on a laptop needs. It is a handler that a host
// mounts into its own server, behind its own way of knowing who somebody is.
//
//	api, err := httpapi.New(httpapi.Config{
//		Authenticate: sessions, // who makes a request: the host knows
//		Store:        store,
//		Runner:       runner,
//		Manager:      manager,
//		Automation:   automation,
//		Replicas:     runs,
//		Escalations:  escalations,
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/ops/", http.StripPrefix("/ops", api)) // /ops/v1/runs, …
//
// GET /v1/openapi.json describes all of it in OpenAPI 3.1: it is made of the same table
// that registers the routes, and bodies are held against the schemas that stand there.
//
//	playbooks   list, show, read as a document; plans
//	runs        start, list, show, follow; answer, pause, resume, cancel, fork
//	approvals   list, suggest a run; approve, deny, send back
//	incidents   open, list, show, timeline, report; everything that happens to them; figures
//	automation  show the switch, stop, resume
//	replicas    list, take over one that hangs
//	audit       read, verified
//
// # Who may do what
//
// An [Authenticator] of the host names who makes a request; nothing works without a name,
// reading included. Roles give verbs: read, operate, approve and administer, see
// [DefaultRoles]. Who approves which step is decided by [incident.Approvals], to which the
// roles of the actor are known by [ActorFrom]: [ApproveByRole] is one. Nobody approves what
// they started.
//
// The verbs are the same for all environments. A host that wants it otherwise mounts a
// handler for each, with a runner that has the playbooks of one.
//
// # Other sites
//
// A command must be JSON, and must come from a page of this host or from no page at all:
// [http.CrossOriginProtection] refuses the others, and a command of an [Actor] whose
// browser sends a cookie must prove it. There is no CORS. Nothing may be stored by caches,
// or be taken for anything else than it is.
//
// # Once
//
// A run is started once for an id, or for an Idempotency-Key of one person: whoever is
// unsure asks again, and gets the run that there is. A command that has arrived is carried
// out also if its client goes away. Forking, notes and updates have no such key: who asks
// twice gets two.
//
// # Following
//
// GET /v1/runs/{run}/events is a stream of server-sent events. Each has the whole run, with
// its revision as its id, so that nothing has to be put together; who reads slowly misses
// what is in between, and holds nothing. It ends when the run has ended. Browsers come back
// by themselves, with Last-Event-ID; after [Config].FollowFor they have to, so that they say
// again who they are. The time limits that the server has for whole requests do not matter
// to it; a proxy in between must let a connection be quiet for longer than
// [Config].Heartbeat.
//
// # Problems
//
// What is no result is a [Problem], as RFC 9457 has it. Programs branch on its code:
//
//	malformed          400  the body is not JSON, or did not arrive
//	unauthenticated    401  the request does not say who makes it
//	not-permitted      403  this person may not; somebody else may
//	cross-site         403  it comes from a page of another site
//	not-found          404  there is no such thing
//	no-such-part       404  this host does not serve that
//	method-not-allowed 405  not by this method
//	stale              409  it has changed meanwhile, or is decided: look again
//	taken              409  there is one already
//	state              409  not possible in the state in which it is
//	busy               409  something else has to end first
//	too-large          413  more than 1 MiB
//	media-type         415  not application/json
//	invalid            422  errors has everything that is wrong
//	unsupported        422  not possible here, whoever asks
//	refused            422  the other side said no
//	too-many           429  come back in a moment
//	internal           500  a fault of this program
//	outcome-unknown    502  nobody knows whether it happened: look before doing it again
//	not-told           502  it is recorded, and not everybody was told
//	could-not-ask      503  nothing was changed: try again
//
// No problem has a secret in it: what went wrong inside is in the log, under the reference
// that the problem has.
//
// # The record
//
// Every command is in the audit record before it has an effect. The core records its own;
// calling the next level by hand and taking over a replica are recorded here. Commands that
// were refused, and those that did not say who gives them, are recorded too: the first five
// of a minute for each person, and then how many more there were.
//
// # What it does not do
//
// It has no pages, no sessions and no TLS, and limits no rates: that is the host's. Set
// ReadHeaderTimeout and MaxHeaderBytes on the server. Alerts are not linked to incidents
// by it.
//
// Importing it compiles packages runbook, health, alert and incident, and the standard
// library.
package httpapi
