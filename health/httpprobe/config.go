package httpprobe

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// Config is what a [Prober] asks for and what it accepts. Only URL is required.
type Config struct {
	// URL is what to ask: absolute, http or https, without a user name. It is
	// shown in messages without its query, but nothing else keeps a query
	// secret: credentials belong in Auth.
	URL string
	// Method is the HTTP method. Zero means GET. It should be one that changes
	// nothing.
	Method string
	// Header is sent with the request. An entry Host replaces the host name
	// that is sent. Accept-Encoding may not be set, since an answer would then
	// not be decompressed, and Authorization belongs in Auth. Where Assert or
	// Extract is used, Accept is application/json unless it is set here.
	Header http.Header
	// Body is sent with the request. Zero means none.
	Body string
	// Auth is the credential. Zero means none.
	Auth Auth

	// Status are the status codes that are a good answer. Zero means any 2xx.
	// A code of a failing answer may be listed, so that Assert decides what it
	// means, or to demand that a protected address refuses: 401.
	Status []int
	// Maintenance are the status codes that mean maintenance, such as 503. Zero
	// means none. Such an answer is not judged by its body.
	Maintenance []int
	// Contains is text that the body must contain. Zero demands none.
	Contains string
	// Assert is what the JSON body must say.
	Assert []Assertion
	// Extract is what to measure in the JSON body.
	Extract []Field
	// MaxBody is the most bytes that the body may have, after decompression.
	// Zero means 1 MiB. A longer one is not read to its end, and fails.
	MaxBody int64
	// Redirects is how many redirects are followed. Zero means none: a redirect
	// is then the answer. To another host, a redirect is followed without Auth
	// and without Header but for Accept and User-Agent, and it is not followed
	// if Body would be sent there. From https to http it is not followed.
	Redirects int

	// Latency is the time that the answer may take, until its body is complete.
	Latency health.Budget
	// CertificateWarn degrades from this time left on, until the certificate of
	// an https URL, or one that vouches for it, expires. Zero means 21 days,
	// negative never.
	CertificateWarn time.Duration
	// CertificateFail fails from this time left on. Zero means when expired.
	CertificateFail time.Duration

	// HTTP makes the request, with its transport, time-out and cookies as they
	// are; only its CheckRedirect is not used. A transport that reuses
	// connections makes the phases dns, connect and tls zero, and net/http may
	// send a GET again when the server had closed a reused connection. When a
	// probe times out while connecting, net/http goes on connecting in the
	// background: the transport should bound that, as http.DefaultTransport
	// does, by a Timeout of its net.Dialer and a TLSHandshakeTimeout.
	//
	// Nil means a transport of the prober's own: a new connection for every
	// probe, closed after it, HTTP/1.1, no proxy, the system's certificate
	// authorities.
	HTTP *http.Client
}

// Auth is a credential for HTTP: at most one of the three kinds. Over http it
// can be read on the way; use https but for private networks.
type Auth struct {
	// Bearer is sent as "Authorization: Bearer …".
	Bearer runbook.Secret
	// Username and Password are sent as basic authentication (RFC 7617).
	Username string
	// Password belongs to Username. It may be empty.
	Password runbook.Secret
	// Header is the name of a header that carries Value: "X-Api-Key".
	Header string
	// Value is the value of Header.
	Value runbook.Secret
}

// An Assertion demands a value in the JSON body.
type Assertion struct {
	// Path leads to the value: see the package comment.
	Path string
	// Want maps the text of the value to the status that it means:
	// {"healthy": health.Healthy, "warming_up": health.Degraded}. Numbers are
	// compared as they are written in the body, booleans are "true" and
	// "false", and null is "null". Any other value is Unhealthy with
	// [health.CauseAssertion], and none at all with [health.CauseMissing].
	Want map[string]health.Status
}

// A Field is something to measure in the JSON body. Numbers become
// measurements; text and booleans become measurements with a Text, shortened to
// 100 characters. Where Unit, Scale, Of or Limit is set, only a number will do.
type Field struct {
	// Path leads to the value: see the package comment.
	Path string
	// Name is the name of the measurement. Zero means the last key of Path.
	Name string
	// Unit is the unit of the measurement, after Scale. Zero means a count, or
	// percent with Of.
	Unit health.Unit
	// Scale is what the number is multiplied with. Zero means 1.
	Scale float64
	// Of is the path of a second number. The measurement is then 100 times the
	// first divided by the second, in percent. Where the second is 0, there is
	// nothing to measure, as if it were missing. Zero means none.
	Of string
	// Optional makes it no failure that the value is missing, null or empty.
	Optional bool
	// Limit is how far the number may go.
	Limit health.Limit
}

// defaultMaxBody is far more than any health answer.
const defaultMaxBody = 1 << 20

// ownNames are the measurements that every probe makes.
var ownNames = [...]string{"response_time", "status_code", "dns", "connect", "tls", "first_byte", "transfer", "certificate_expiry"}

// withDefaults returns a copy of c with the defaults filled in, whose header and
// lists are its own.
func (c Config) withDefaults() Config {
	if c.Method == "" {
		c.Method = http.MethodGet
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	c.Header = c.Header.Clone()
	if c.Header == nil {
		c.Header = http.Header{}
	}
	if (len(c.Assert) > 0 || len(c.Extract) > 0) && c.Header.Get("Accept") == "" {
		c.Header.Set("Accept", "application/json")
	}
	if c.Header.Get("User-Agent") == "" {
		c.Header.Set("User-Agent", "runbook-httpprobe")
	}
	c.Status, c.Maintenance = slices.Clone(c.Status), slices.Clone(c.Maintenance)
	return c
}

// validate adds everything that is wrong with c but its paths to p, and returns
// the URL.
func (c Config) validate(p *netcheck.Problems) *url.URL {
	u := httpcheck.ParseURL(p, c.URL, "http", "https")
	if _, err := http.NewRequest(c.Method, "http://localhost", nil); err != nil || c.Method == http.MethodConnect {
		p.Add("Method %q cannot be used", c.Method)
	}
	httpcheck.ValidateHeader(p, c.Header, func(name string) string {
		if name == "Accept-Encoding" {
			return "the answer would not be decompressed"
		}
		return ""
	})
	httpcheck.Auth(c.Auth).Validate(p, c.Header, nil)
	for _, code := range slices.Concat(c.Status, c.Maintenance) {
		if code < 200 || code > 599 {
			p.Add("status code %d is not one of 200 to 599", code)
		}
	}
	for _, code := range c.Maintenance {
		if slices.Contains(c.Status, code) {
			p.Add("status code %d cannot be good and mean maintenance", code)
		}
	}
	if c.Method == http.MethodHead && (c.Contains != "" || len(c.Assert) > 0 || len(c.Extract) > 0) {
		p.Add("the answer to a HEAD has no body to look at")
	}
	if c.MaxBody < 0 {
		p.Add("MaxBody must not be negative")
	}
	if c.Redirects < 0 {
		p.Add("Redirects must not be negative")
	}
	p.In("Latency", c.Latency.Validate())
	p.In("CertificateWarn", c.certificates().Validate())
	return u
}

func (c Config) certificates() netcheck.Certificates {
	return netcheck.Certificates{Warn: c.CertificateWarn, Fail: c.CertificateFail}
}
