package runbook_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "go.acu.edu.au/runbook"

// forLTI is what package lti compiles, and so does what imports it.
var forLTI = []string{"", "github.com/go-json-experiment/json", "github.com/golang-jwt/jwt/v5", "github.com/hashicorp/", "github.com/lestrrat-go/", "github.com/valyala/fastjson", "golang.org/x/oauth2"}

// forNotifier is what a notifier that speaks HTTP compiles, with more.
func forNotifier(more ...string) []string {
	return append([]string{"", "health", "alert", "alert/internal/send", "internal/httpx", "github.com/hashicorp/"}, more...)
}

// mayCompile says which modules beyond the standard library, and which other
// packages of ours, importing a package may compile. A package that is not
// listed may compile none, so a new dependency has to be written down here, and
// its price in the README.
var mayCompile = map[string][]string{
	"":                            {},
	"health":                      {},
	"health/healthtest":           {"health"},
	"health/httpprobe":            {"", "health", "internal/netcheck", "internal/netcheck/httpcheck"},
	"health/netprobe":             {"health", "internal/netcheck"},
	"health/promhealth":           {"health", "github.com/prometheus", "github.com/beorn7/perks", "github.com/cespare/xxhash", "github.com/munnerz/goautoneg", "golang.org/x/sys", "google.golang.org/protobuf", "go.yaml.in/yaml"},
	"health/redisprobe":           {"", "health", "internal/netcheck", "golang.org/x/sys", "github.com/redis/go-redis", "github.com/cespare/xxhash", "go.uber.org/atomic"},
	"health/sqlhealth":            {"health", "internal/sqlmigrate"},
	"health/statuspage":           {"health"},
	"health/sqlprobe":             {"health", "internal/netcheck"},
	"health/wsprobe":              {"", "health", "health/httpprobe", "internal/netcheck", "internal/netcheck/httpcheck", "github.com/coder/websocket"},
	"canvas":                      {"", "internal/httpx", "internal/clientcreds", "internal/flight", "github.com/hashicorp/", "golang.org/x/oauth2", "golang.org/x/time"},
	"canvas/canvasprobe":          {"", "health", "incident", "alert", "canvas", "internal/httpx", "internal/clientcreds", "internal/flight", "internal/netcheck", "internal/netcheck/httpcheck", "github.com/hashicorp/", "golang.org/x/oauth2", "golang.org/x/time"},
	"canvas/canvastest":           {},
	"canvas/usage":                {"", "health", "incident", "alert", "canvas", "internal/httpx", "internal/clientcreds", "internal/flight", "github.com/hashicorp/", "golang.org/x/oauth2", "golang.org/x/time"},
	"incident":                    {"", "health", "alert"},
	"incident/incidenttest":       {"", "incident", "alert", "health"},
	"incident/sqlstore":           {"", "health", "alert", "incident", "internal/sqlmigrate"},
	"incident/playbooks":          {"", "health", "alert", "incident"},
	"incident/httpapi":            {"", "health", "alert", "incident"},
	"incident/otelrunbook":        {"", "health", "alert", "incident", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/codes", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/trace", "go.opentelemetry.io/otel/semconv", "github.com/cespare/xxhash"},
	"incident/durable":            {"", "health", "alert", "incident", "internal/sqlmigrate", "github.com/", "golang.org/x/", "go.uber.org/"},
	"incident/durable/sqlitefile": {"github.com/", "golang.org/x/", "modernc.org/"},
	"incident/pgdump":             {"", "incident", "alert", "health", "filippo.io/age", "filippo.io/hpke", "golang.org/x/crypto", "golang.org/x/sys"},
	"internal/clientcreds":        {"", "internal/flight", "golang.org/x/oauth2"},
	"internal/flight":             {},
	"internal/httpx":              {"", "github.com/hashicorp/"},
	"internal/netcheck":           {"health"},
	"internal/netcheck/httpcheck": {"", "health", "internal/netcheck"},
	"internal/requirements":       {},
	"internal/services":           {},
	"internal/sqlmigrate":         {},
	"lti":                         append([]string{"internal/httpx", "internal/clientcreds", "internal/flight"}, forLTI...),
	"lti/ags":                     append([]string{"lti", "internal/httpx", "internal/clientcreds", "internal/flight"}, forLTI...),
	"lti/doctor":                  append([]string{"lti", "health", "incident", "alert", "internal/httpx", "internal/clientcreds", "internal/flight", "internal/netcheck", "internal/netcheck/httpcheck"}, forLTI...),
	"lti/dynreg":                  append([]string{"lti", "internal/httpx", "internal/clientcreds", "internal/flight"}, forLTI...),
	"lti/internal/servicetest":    append([]string{"lti", "internal/httpx", "internal/clientcreds", "internal/flight"}, forLTI...),
	"lti/ltitest":                 append([]string{"lti", "internal/httpx", "internal/clientcreds", "internal/flight"}, forLTI...),
	"lti/nrps":                    append([]string{"lti", "internal/httpx", "internal/clientcreds", "internal/flight"}, forLTI...),
	"lti/pns":                     append([]string{"lti", "internal/httpx", "internal/clientcreds", "internal/flight"}, forLTI...),
	"lti/redisnonce":              append([]string{"lti", "internal/httpx", "internal/clientcreds", "internal/flight", "github.com/redis/go-redis", "github.com/cespare/xxhash", "go.uber.org/atomic", "golang.org/x/sys"}, forLTI...),
	"lti/sqlnonce":                append([]string{"lti", "internal/httpx", "internal/clientcreds", "internal/flight", "internal/sqlmigrate"}, forLTI...),
	"internal/memhttp":            {},
	"railway":                     {"", "health", "incident", "alert", "internal/httpx", "railway/internal/gql", "railway/internal/scalar", "filippo.io/age", "filippo.io/hpke", "golang.org/x/crypto", "golang.org/x/sys", "golang.org/x/time", "github.com/Khan/genqlient", "github.com/google/uuid", "github.com/vektah/gqlparser", "github.com/coder/websocket", "github.com/hashicorp/"},
	"railway/internal/gql":        {"railway/internal/scalar", "github.com/Khan/genqlient", "github.com/google/uuid", "github.com/vektah/gqlparser"},
	"railway/internal/scalar":     {},
	"railway/railwaytest":         {"railway/internal/gql", "railway/internal/scalar", "internal/memhttp", "github.com/Khan/genqlient", "github.com/google/uuid", "github.com/vektah/gqlparser", "github.com/agnivade/levenshtein", "github.com/coder/websocket"},
	"alert":                       {"", "health"},
	"alert/alerttest":             {"", "health", "alert", "internal/memhttp"},
	"alert/alertmanager":          forNotifier("alert/internal/inbound"),
	"alert/calendar":              {"", "health", "github.com/rickar/cal"},
	"alert/email":                 {"", "health", "alert", "github.com/wneessen/go-mail", "golang.org/x/crypto", "golang.org/x/text", "golang.org/x/sys"},
	"alert/httpsms":               forNotifier("alert/internal/sms"),
	"alert/internal/inbound":      {},
	"alert/internal/send":         {"", "health", "alert", "internal/httpx", "github.com/hashicorp/"},
	"alert/internal/sms":          forNotifier(),
	"alert/internal/story":        {"", "health", "alert", "github.com/"},
	"alert/jira":                  forNotifier(),
	"alert/pagerduty":             forNotifier("alert/internal/inbound"),
	"alert/schedule":              {"", "health", "internal/sqlmigrate", "github.com/go-co-op/gocron", "github.com/google/uuid", "github.com/jonboulle/clockwork", "github.com/robfig/cron"},
	"alert/servicenow":            forNotifier(),
	"alert/shoutrrr":              forNotifier("github.com/nicholas-fedor/shoutrrr", "github.com/mattn/", "golang.org/x/sys", "golang.org/x/term"),
	"alert/slack":                 forNotifier("alert/internal/inbound"),
	"alert/statuspageio":          forNotifier("golang.org/x/time"),
	"alert/twilio":                forNotifier("alert/internal/sms"),
	"alert/webhook":               forNotifier("alert/internal/inbound"),
	"alert/sqloutbox":             {"", "health", "alert", "internal/sqlmigrate"},
	"examples/internal/config":    {"", "github.com/goccy/go-yaml"},
	"examples/internal/dashboard": {"", "health", "alert", "incident", "incident/httpapi"},
	"examples/internal/estate":    {"canvas/canvastest"},
	"examples/morning":            {"", "alert", "alert/alerttest", "alert/email", "github.com/wneessen/go-mail", "golang.org/x/crypto", "golang.org/x/text", "alert/internal/inbound", "alert/internal/send", "alert/internal/sms", "alert/slack", "alert/twilio", "internal/memhttp", "health", "health/httpprobe", "incident", "canvas", "canvas/canvasprobe", "canvas/canvastest", "internal/httpx", "internal/clientcreds", "internal/flight", "internal/netcheck", "internal/netcheck/httpcheck", "examples/internal/config", "examples/internal/estate", "github.com/goccy/go-yaml", "github.com/hashicorp/", "golang.org/x/oauth2", "golang.org/x/time", "golang.org/x/term", "golang.org/x/sys"},
	"examples/sidecar":            {"", "alert", "alert/internal/inbound", "alert/internal/send", "alert/slack", "canvas", "incident", "internal/clientcreds", "internal/flight", "internal/httpx", "lti", "lti/doctor", "health", "health/httpprobe", "health/promhealth", "health/redisprobe", "health/sqlprobe", "health/wsprobe", "internal/netcheck", "internal/netcheck/httpcheck", "github.com/", "golang.org/x/", "google.golang.org/protobuf", "go.yaml.in/yaml", "go.uber.org/atomic"},
}

// wholeHosts are programs that have all of it, and what they are made of. Nobody imports them.
var wholeHosts = []string{
	"examples/drill", "examples/internal/drill", "examples/internal/dashboard/demo", "examples/internal/dashboard/scene", "examples/internal/host", "examples/internal/world", "examples/opsd",
}

// compiled returns, for each package of the module, what importing it compiles
// beyond the standard library and itself.
func compiled(t testing.TB) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}{{"\t"}}{{join .Deps ","}}`, "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	packages := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		path, deps, _ := strings.Cut(strings.TrimSpace(line), "\t")
		outside := func(dep string) bool { return !strings.Contains(strings.Split(dep, "/")[0], ".") }
		packages[path] = slices.DeleteFunc(strings.Split(deps, ","), outside)
	}
	return packages
}

// Requirement: HL-PEER-HELLO-DRIVERS
func TestPackagesCompileWhatTheyMay(t *testing.T) {
	for path, deps := range compiled(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		if slices.Contains(wholeHosts, name) {
			continue
		}
		allowed := mayCompile[name]
		for _, dep := range deps {
			if ours, ok := strings.CutPrefix(dep, module); ok {
				assert.Contains(t, allowed, strings.TrimPrefix(ours, "/"), "%s imports %s", path, dep)
				continue
			}
			assert.True(t, slices.ContainsFunc(allowed, func(a string) bool { return a != "" && strings.HasPrefix(dep, a) }), "%s compiles %s", path, dep)
		}
	}
}

// The README says what each public package compiles; the numbers are counted here.
func TestTheREADMECountsWhatPackagesCompile(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `([a-z/]*)` \\|.*\\| (\\d+) \\|$").FindAllStringSubmatch(string(readme), -1)
	stated := make(map[string]int)
	for _, row := range rows {
		n, err := strconv.Atoi(row[2])
		require.NoError(t, err)
		stated[row[1]] = n
	}
	for path, deps := range compiled(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		if strings.Contains(path, "/internal/") || strings.HasPrefix(name, "examples") {
			continue
		}
		if name == "" {
			name = "runbook"
		}
		n, ok := stated[name]
		if assert.True(t, ok, "the README has no row for %s", name) {
			assert.Equal(t, len(deps)+1, n, "packages compiled by importing %s, its own included", name)
		}
	}
}
