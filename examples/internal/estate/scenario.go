package estate

import "strings"

// Scenario is what is wrong in an estate.
type Scenario string

// The scenarios. [Scenarios] says what each is.
const (
	Healthy             Scenario = "healthy"
	ApplicationDown     Scenario = "application-down"
	Unreachable         Scenario = "unreachable"
	NameUnknown         Scenario = "name-unknown"
	Hanging             Scenario = "hanging"
	Slow                Scenario = "slow"
	NotJSON             Scenario = "not-json"
	TokenRejected       Scenario = "token-rejected"
	DatabaseGone        Scenario = "database-gone"
	RedisGone           Scenario = "redis-gone"
	MemoryHigh          Scenario = "memory-high"
	ErrorRateHigh       Scenario = "error-rate-high"
	RecentErrors        Scenario = "recent-errors"
	CertificateExpiring Scenario = "certificate-expiring"
	CertificateExpired  Scenario = "certificate-expired"
	CanvasDown          Scenario = "canvas-down"
	CanvasMaintenance   Scenario = "canvas-maintenance"
	CanvasThrottled     Scenario = "canvas-throttled"
	CanvasThrottled403  Scenario = "canvas-throttled-403"
	CanvasTokenRevoked  Scenario = "canvas-token-revoked"
)

// Description is a scenario in words.
type Description struct {
	// Scenario is the scenario.
	Scenario Scenario
	// Text says what is wrong, in one line.
	Text string
}

// Scenarios returns all scenarios, in the order in which they are best read.
func Scenarios() []Description {
	return []Description{
		{Healthy, "nothing is wrong"},
		{ApplicationDown, "the application has crashed: the platform answers 502 in its place"},
		{Unreachable, "nothing listens at the application's address: connections are refused"},
		{NameUnknown, "the application's host name does not exist"},
		{Hanging, "the application takes requests and never answers"},
		{Slow, "every answer of the application takes 6 s"},
		{NotJSON, "a login page (200, HTML) stands where the application's answers should be"},
		{TokenRejected, "the application does not accept the monitoring token"},
		{DatabaseGone, "the application has lost its database"},
		{RedisGone, "the application has lost its Redis: no sessions, but it runs"},
		{MemoryHigh, "the application uses 94 % of its memory limit"},
		{ErrorRateHigh, "4 of the 50 requests of the last 5 minutes failed: 8 %"},
		{RecentErrors, "9 recent errors"},
		{CertificateExpiring, "the application's certificate expires in 6 days"},
		{CertificateExpired, "the application's certificate expired yesterday"},
		{CanvasDown, "Canvas answers 500"},
		{CanvasMaintenance, "Canvas is in maintenance, as its status page says: 503 and an HTML page"},
		{CanvasThrottled, "Canvas refuses requests of our token: 429, rate limit exceeded"},
		{CanvasThrottled403, "the same as an older Canvas says it: 403 with a text"},
		{CanvasTokenRevoked, "Canvas does not accept the monitoring token: it was revoked"},
	}
}

// ofCanvas returns what a scenario means for the server of Canvas itself: those
// about connections are about the application.
func (s Scenario) ofCanvas() Scenario {
	if strings.HasPrefix(string(s), "canvas-") {
		return s
	}
	return Healthy
}

// tokens returns what the estate accepts, by the name of the variable.
func tokens() map[string]string {
	all := map[string]string{
		// Nobody real is told from the estate, so that any value will do.
		"SLACK_BOT_TOKEN": "xoxb-estate", "SMTP_PASSWORD": "estate", "TWILIO_AUTH_TOKEN": "estate", "TWILIO_ACCOUNT_SID": "AC" + strings.Repeat("0", 32),
	}
	for _, env := range Environments() {
		all["QA_AUTOMATION_"+strings.ToUpper(env.Name)+"_TOKEN"] = env.applicationToken()
		all["CANVAS_"+strings.ToUpper(env.Name)+"_TOKEN"] = env.canvasToken()
	}
	return all
}

func (e Environment) applicationToken() string { return "estate-application-" + e.Name }
func (e Environment) canvasToken() string      { return "estate-canvas-" + e.Name }
