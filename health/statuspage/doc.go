// Package statuspage is a status page that a host program serves itself: what
// works now, what is being done about the rest, and how the last 90 days were.
//
//	page, err := statuspage.NewPublic(statuspage.Config{
//		Monitor: monitor,
//		URL:     "https://qa.example.edu/status",
//		Title:   "QA automation",
//		Components: []statuspage.Component{
//			{Name: "Website", Group: "Production", Checks: []string{"production/application"}},
//			{Name: "Grades", Group: "Production", Checks: []string{"production/canvas", "production/lti"}},
//		},
//		History: history, // the one that the monitor writes
//		Events:  announced,
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/status/", http.StripPrefix("/status", page))
//
// The page is one document, rendered by the server, that asks for nothing more:
// no script, no font, no picture. Links are relative, so that it works under any
// prefix; Config.URL is for what leaves the site, such as the feed.
//
// # What it serves
//
//	/                                 the page
//	/components/ID                    a component: response times, day by day
//	/history                          incidents and maintenance, the latest 50
//	/incidents/ID                     one of them, with all its updates
//	/feed.atom                        the same as a feed
//	/badge.svg, /badge/ID.svg         badges of the whole, and of a component
//	/summary.json, /status.json,      the status API of Atlassian Statuspage,
//	/components.json, ...             version 2, also under /api/v2/
//	/health+json                      the whole and its components, in the terms of
//	                                  draft-inadarei-api-health-check-06
//
// # Public and private
//
// [NewPublic] shows components: names, groups and texts that the host gives for
// that purpose, their state, uptime and response times, and the events that the
// host publishes. Names of checks, messages, causes, measurements and labels do
// not get into the values from which it is rendered, so no template can show
// them, and what no component names is not shown at all.
//
// [NewPrivate] serves the same with those details, for the people who operate the
// host, which must guard it: it asks nobody who they are. Two pages share nothing,
// so nothing of one can be found in the other.
//
// # What counts
//
// A component is down while all its checks are, and partly down while some are. It
// is not known while a check of it is not, and nothing else is worse. The whole is
// as bad as its worst component: maintenance of one never hides an outage of
// another. An optional component (all of whose checks are) degrades the whole and
// does not bring it down. An open incident makes the components that it names, and
// the whole, at least as bad as it says; a maintenance under way puts those that
// it names in maintenance.
//
// Uptime is the time in which a component worked, also if slowly, divided by the
// time in which it worked or was down, over 90 days. Planned maintenance and time
// of which nothing is known count on neither side; they are shown as what they
// are, never as up, and the page says how many days were measured. Figures are
// rounded down: 100 % means that nothing was down. Where a component has several
// checks, their times are added up. The formula stands on the page.
//
// # How it behaves
//
// A request probes nothing. Everything is rendered at most once a second, when
// somebody asks, compressed once, and kept with an entity tag; all requests between
// share it. The host's Events are asked at most every five seconds and its History
// every minute, with a time limit; if they fail or hang, the page shows what they
// said last, and says so.
//
// The Content-Security-Policy allows one style sheet, by its hash, and icons within
// the page, and nothing else. All texts are escaped in HTML, XML and SVG alike, and
// lose control characters first; they are plain texts, with line breaks kept.
//
// The page does not reload by itself. With ?refresh=60 a visitor asks for it (10 to
// 3600 seconds), and the page offers that as a link.
//
// # What it does not do
//
// It opens no incidents: it shows what the host publishes. It mails nobody; feeds
// and the status API are for subscribers. It speaks English only.
//
// A Page is safe for concurrent use and starts nothing that outlives a request by
// more than a few seconds. Importing the package compiles health and the standard
// library.
package statuspage
