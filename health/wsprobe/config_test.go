package wsprobe_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
	"go.acu.edu.au/runbook/health/wsprobe"
)

func TestNew_reportsEverything(t *testing.T) {
	t.Parallel()
	_, err := wsprobe.New(wsprobe.Config{
		URL:             "ftp://user:" + canary + "@/x#y",
		Auth:            httpprobe.Auth{Bearer: runbook.NewSecret(canary + "\n"), Header: "Sec-Websocket-Key", Value: runbook.NewSecret(canary)},
		Header:          http.Header{"Upgrade": {"h2c"}, "Sec-WebSocket-Key": {"x"}, "Host": {"x"}, "Authorization": {canary}, "X-Line": {canary + "\n"}},
		Origin:          "x\r\ny",
		Subprotocols:    []string{"a", "a", "b,c"},
		Skip:            -1,
		MaxMessage:      -1,
		Latency:         health.Budget{Fail: -1},
		CertificateWarn: time.Hour,
		CertificateFail: 2 * time.Hour,
	})
	want := []string{
		"URL must be absolute, with wss or ws and a host",
		"Header must not set Authorization: use Auth",
		"Header must not set Host: it belongs to the handshake",
		"Header must not set Sec-Websocket-Key: it belongs to the handshake",
		"Header must not set Upgrade: it belongs to the handshake",
		`Header "X-Line" has a name or value that HTTP does not allow`,
		"Auth: Header must not be Sec-Websocket-Key",
		"Auth: only one of Bearer, Username with Password, and Header with Value may be set",
		"Auth: the secret holds a character that a header cannot carry, such as a line break",
		"Origin holds a character that a header cannot carry, such as a line break",
		`Subprotocols[1]: "a" is there twice`,
		`Subprotocols[2]: "b,c" is not a token`,
		"Skip must not be negative",
		"MaxMessage must not be negative",
		"Latency: a latency budget must not be negative",
		"CertificateWarn: 1h0m0s must be more than CertificateFail (2h0m0s)",
	}
	assert.EqualError(t, err, "wsprobe: "+strings.Join(want, "\nwsprobe: "))
	for url, want := range map[string]string{
		"":                                  "URL is required",
		"ws://app.test/#y":                  "URL must not have a fragment",
		"ws://user:" + canary + "@app.test": "URL must not hold a user name or password: use Auth",
		"ws://app.test:" + canary + "/":     "URL cannot be parsed",
		"ws://app.test/%zz?t=" + canary:     "URL cannot be parsed",
		"ws://me:" + canary + "/x@app.test": "URL cannot be parsed", // net/url quotes the password as a port
	} {
		_, err = wsprobe.New(wsprobe.Config{URL: url, Skip: 1})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "Skip needs Send or Want")
		assert.NotContains(t, err.Error(), canary)
	}
}
