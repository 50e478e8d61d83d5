// Package httpsms tells people of alerts by text message, through the HTTP interface of a
// gateway that the configuration describes. Most Australian providers have one.
//
// A gateway that takes JSON and answers with JSON:
//
//	sms, err := httpsms.New(httpsms.Config{
//		Service:  "clicksend",
//		URL:      "https://rest.clicksend.com/v3/sms/send",
//		Username: "acu-operations", Password: key,
//		JSON:     `{"messages": [{"to": "{to}", "from": "{from}", "body": "{text}", "source": "runbook"}]}`,
//		Answer:   httpsms.Answer{Path: "data.messages.0.status", OK: "^SUCCESS$", ID: "data.messages.0.message_id"},
//		From:     "ACU-IT", To: "+61400111222", Zone: sydney,
//	})
//
// And one that takes a form and answers with a line of text:
//
//	sms, err := httpsms.New(httpsms.Config{
//		Service: "smsglobal",
//		URL:     "https://api.smsglobal.com/http-api.php",
//		Form: map[string]string{
//			"action": "sendsms", "user": "acu", "password": "{password}",
//			"from": "ACU-IT", "to": "{to_digits}", "text": "{text}", "maxsplit": "{segments}",
//		},
//		Secrets: map[string]runbook.Secret{"password": password},
//		Answer:  httpsms.Answer{OK: `^OK: 0; .*SMSGlobalMsgID: ?(\S+)`, Refused: "^ERROR"},
//		To:      "+61400111222", Zone: sydney,
//	})
//
// # Templates
//
// The values of Config.Form, and the strings within Config.JSON, have names in braces,
// which are replaced: {to} is the number as +61400111222, {to_digits} as 61400111222,
// {to_local} as 0400111222; {from}, {text}, {segments} (how many parts the text takes) and
// {key} (that of the notification); and the names of Config.Secrets. Values are encoded for
// where they stand, so that no text can add fields. Headers take secrets and {key} only.
//
// # What people see
//
// A message is what package twilio sends: what is wrong, the playbook and who takes care
// of it, and as much of what was found as fits into Config.Segments parts, counted in GSM-7
// or UCS-2 before it is sent. Each number is a target of its own. Messages stand alone:
// there are no threads.
//
// # Twice
//
// No gateway is assumed to recognise a message: whatever may have arrived already says
// "(possible repeat)".
//
// # What it does not do
//
// It does not follow what becomes of a message that the gateway has taken, and reads no
// replies. Tokens that must be fetched first (OAuth) belong into the transport of
// Config.HTTP.
//
// # Concurrency, errors and cost
//
// A [Notifier] is safe for concurrent use. Errors are [*alert.Error]; what the gateway says
// is their Code, without secrets and numbers. Importing this package compiles alert and the
// module's HTTP path.
package httpsms
