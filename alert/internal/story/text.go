package story

const firing = `HIGH production: Response time of app is 7.2 s

What is wrong:
- HIGH production app: Response time of app is 7.2 s
  since 03:07 UTC, for 5 min; now 7.2 s, limit 5 s, at worst 9.1 s

What to do: playbook performance-degradation
Nobody has acknowledged it yet.
`

const update = `UPDATE, CRITICAL production: app has failed 3 checks in a row, and 1 more

New:
- CRITICAL production app: app has failed 3 checks in a row
  since 03:11 UTC, for 1 min; now 3, limit 3
  GET /health: status 503: {"error": "no free connection"} <b>[~admin] *all* {code}
  fails because of it: grade sync, LTI launches

Still firing:
- HIGH production app: Response time of app is 7.2 s
  since 03:07 UTC, for 6 min; now 7.2 s, limit 5 s, at worst 9.1 s

What to do: playbook https://runbook.example.edu/application-down, performance-degradation
Nobody has acknowledged any of them yet.
`

const reminder = `STILL CRITICAL after 1 h 5 min, production: app has failed 3 checks in a row, and 1 more

What is wrong:
- CRITICAL production app: app has failed 3 checks in a row
  since 03:11 UTC, for 1 h 1 min; now 3, limit 3
  GET /health: status 503: {"error": "no free connection"} <b>[~admin] *all* {code}
  fails because of it: grade sync, LTI launches
- HIGH production app: Response time of app is 7.2 s
  since 03:07 UTC, for 1 h 5 min; now 7.2 s, limit 5 s, at worst 9.1 s

What to do: playbook https://runbook.example.edu/application-down, performance-degradation
Nobody has acknowledged any of them yet.
`

const acknowledged = `TAKEN by Ana Silva, CRITICAL production: app has failed 3 checks in a row, and 1 more

Changed:
- CRITICAL production app: app has failed 3 checks in a row
  since 03:11 UTC, for 1 h 6 min; now 3, limit 3
  GET /health: status 503: {"error": "no free connection"} <b>[~admin] *all* {code}
  fails because of it: grade sync, LTI launches
  Ana Silva takes care of it since 04:18 UTC: I roll back the release of 02:55
- HIGH production app: Response time of app is 7.2 s
  since 03:07 UTC, for 1 h 11 min; now 7.2 s, limit 5 s, at worst 9.1 s
  Ana Silva takes care of it since 04:18 UTC: I roll back the release of 02:55

What to do: playbook https://runbook.example.edu/application-down, performance-degradation
`

const partlyOver = `PARTLY OVER, still CRITICAL production: app has failed 3 checks in a row

Over:
- HIGH production app: Response time of app is 7.2 s
  from 03:07 UTC to 04:20 UTC, for 1 h 13 min; at worst 9.1 s, limit 5 s
  Ana Silva took care of it: I roll back the release of 02:55

Still firing:
- CRITICAL production app: app has failed 3 checks in a row
  since 03:11 UTC, for 1 h 9 min; now 3, limit 3
  GET /health: status 503: {"error": "no free connection"} <b>[~admin] *all* {code}
  fails because of it: grade sync, LTI launches
  Ana Silva takes care of it since 04:18 UTC: I roll back the release of 02:55

What to do: playbook https://runbook.example.edu/application-down
`

const resolved = `RESOLVED after 1 h 9 min, production: app has failed 3 checks in a row

It was:
- CRITICAL production app: app has failed 3 checks in a row
  from 03:11 UTC to 04:21 UTC, for 1 h 9 min; at worst 3, limit 3
  GET /health: status 503: {"error": "no free connection"} <b>[~admin] *all* {code}
  Ana Silva took care of it: I roll back the release of 02:55

All that was told here is over.
For what comes after: playbook https://runbook.example.edu/application-down
`
