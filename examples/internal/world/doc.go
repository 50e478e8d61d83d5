// Package world is a small estate that can go wrong: three environments of the QA automation
// application with everything around them, in memory, for rehearsals in which nobody knows
// beforehand what will happen.
//
//	w, err := world.New(world.Config{Seed: 7})
//	if err != nil { … }
//	defer w.Close()
//	h, err := host.New(host.Config{Connections: w.Connections(), Channels: w.Channels(), …})
//	…
//	err = w.Inject(world.Fault{Kind: world.BadDeploy})
//	…
//	w.Acts()  // what was done about it
//	w.Truth() // how it really is
//
// # Cause and effect
//
// The application is a model, not a script. What it does follows from what the running
// deployment really got (variables, commit, when its processes began), from the database, the
// cache, the limit and the keys of Canvas, and from how many users there are. Tasks arrive and
// take workers; what they leave is for requests. Both ask Canvas, whose bucket fills faster
// the more is asked at once, and rejects what does not fit. Memory grows with what runs and
// with what leaks; a process that needs more than it may have is ended, and the platform
// starts it again. So a change can help, not help, or make it worse: more workers help where
// workers are short, and are harmful where Canvas is the bottleneck.
//
// A [Fault] changes a cause. Only what such a cause would show is seen: status codes, response
// times, figures, lines of the log, deployments, status pages. A fault is over when its cause
// was removed or, where it is somebody else's, after a while; [World.Mend] removes it as
// somebody outside would. [World.Truth] is for those who judge.
//
// # Faults
//
//	bad-deploy         a commit is deployed whose code fails (errors) or never listens (silent);
//	                   or, if that is asked for, looks for the database where there is none
//	                   (database)
//	crash-loop         the process ends again and again: its state is damaged (state), or a
//	                   commit is the cause (deploy)
//	database-down      the server of the database has crashed
//	connection-storm   the processes hold more and more connections, until they are begun anew
//	blocked-queries    a transaction of the processes blocks all others
//	disk-filling       the disk of the database fills up
//	canvas-throttled   dear requests, a large run of tasks, and another program with our token
//	canvas-maintenance an announced maintenance
//	canvas-maintenance-announced
//	                   a maintenance that is announced six hours ahead, and is then as was said
//	                   (as-announced); or, if that is asked for, runs over its end (over), has its
//	                   end put off while it lasts (longer), is moved by an hour (moved) or called
//	                   off (called-off)
//	canvas-account     a stranger uses the token of the tool in Canvas, until its developer key is
//	                   switched off: it shows in page views, sign-ins and changes of courses
//	canvas-down        an outage of Canvas, which its makers admit after a while
//	railway-incident   requests do not reach applications on the platform
//	key-revoked        the developer key was switched off
//	keys-rotated       Canvas has replaced its whole key set, and the processes have the old one
//	key-expired        the tool does not publish its key any more
//	clock-skew         the clock of the machine is minutes behind
//	memory-leak        the commit that runs loses memory with each request
//	slow-tasks         tasks are slow by the size of batches (batch), by what they ask Canvas at
//	                   once (parallel), by their updates (progress), or by themselves (content)
//	overload           three times as many users as usual: workers are short
//	error-burst        a part of the requests fails for a while
//	stale-backup       somebody has removed backups and their schedule
//	leaked-credential  SECRET_KEY is known to somebody else, who uses it
//	answer-lost        the answer to the next rollback is lost
//	slack-down         the chat takes no messages
//	mail-down          the mail server takes no mails
//	websocket-proxy    WebSockets are broken by the edge (edge) or by the process (hub)
//	redis-down         the cache has crashed
//
// # Acts
//
// The ledger has what took effect, whoever did it and whatever answer they got. Of the
// platform: rollback, restart, redeploy, stop, freeze, unfreeze, scale, backup, restore, with
// the service as the detail (for backups the name); restart-database, redeploy-database,
// scale-database; set-variable (NAME=value, secrets hidden), delete-variable (NAME).
// Other mutations have their own name. Of Canvas: key-on, key-off, announce, withdraw, and
// canvas for everything else. Of the application: end-sessions, purge-nonces. Of the
// database: dump, dump-restored (the target), migrate. Of credentials: begin, prove, end
// (the name). Messages: slack (the channel), mail (the address), page (the number), with
// what they say as the text; secret-told (where, and which) after one that has a secret in it.
// Of others: mended (the fault). Of the makers of Canvas, about a maintenance that they
// announced: canvas-announces, canvas-moves, canvas-calls-off, canvas-away,
// canvas-overdue, canvas-back.
//
// # Time, concurrency and cost
//
// There is no clock but package time's, and nothing runs in the background: the world moves
// when somebody looks at it, in steps of 5 seconds. It works inside testing/synctest, if it
// is made there, and leaves no goroutine once it is closed. The same seed gives the same
// world, but for the IDs of the platform.
package world
