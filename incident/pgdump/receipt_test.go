package pgdump_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident/pgdump"
)

var goodReceipt = `{"format":"runbook-pgdump/1","started":"2026-11-27T06:00:00Z","duration_ns":1500000000,"database":"app",` +
	`"server_version":"15.18","pg_dump_version":"16.1","plain_bytes":1000,"plain_sha256":"` + strings.Repeat("0a", 32) +
	`","cipher_bytes":1216,"cipher_sha256":"` + strings.Repeat("b1", 32) + `","tables":[{"schema":"public","name":"task"}]}`

func TestParseReceipt(t *testing.T) {
	t.Parallel()
	r, err := pgdump.ParseReceipt([]byte(goodReceipt))
	require.NoError(t, err)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	assert.Equal(t, goodReceipt, string(text))
	for name, test := range map[string]struct{ old, new, want string }{
		"unknown field":  {`"database"`, `"databse"`, "not the JSON of a receipt"},
		"other format":   {"pgdump/1", "pgdump/2", `format "runbook-pgdump/2" is not`},
		"no start":       {"2026-11-27T06", "0001-01-01T00", "started"},
		"negative":       {`"plain_bytes":1000`, `"plain_bytes":-1`, "sizes of a dump"},
		"swapped sizes":  {`"cipher_bytes":1216`, `"cipher_bytes":1000`, "sizes of a dump"},
		"short hash":     {"0a0a0a", "0a", "64 lower-case"},
		"upper-case":     {"b1b1", "B1B1", "64 lower-case"},
		"not JSON":       {`{"format"`, `{format`, "not the JSON of a receipt"},
		"something else": {"]}", "]}{}", "something follows"},
		"cut off":        {`"name":"task"}]}`, "", "not the JSON of a receipt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.Replace(goodReceipt, test.old, test.new, 1)
			require.NotEqual(t, goodReceipt, changed)
			r, err := pgdump.ParseReceipt([]byte(changed))
			require.ErrorContains(t, err, test.want)
			assert.Zero(t, r)
		})
	}
	_, err = pgdump.ParseReceipt(make([]byte, pgdump.MaxReceipt+1))
	require.ErrorContains(t, err, "longer than")
}

func FuzzParseReceipt(f *testing.F) {
	f.Add([]byte(goodReceipt))
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := pgdump.ParseReceipt(text)
		if err != nil {
			return
		}
		// What was believed is believed again, and is the same.
		again, err := json.Marshal(r)
		require.NoError(t, err)
		back, err := pgdump.ParseReceipt(again)
		require.NoError(t, err)
		assert.Empty(t, cmp.Diff(r, back))
		require.NoError(t, r.Incident().Validate())
	})
}
