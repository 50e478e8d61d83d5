package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/estate"
)

// endpointLatency is how long every answer takes in the benchmarks.
const endpointLatency = 20 * time.Millisecond

// BenchmarkMorning is the whole routine for three environments: 33 checks, 45
// requests, each on a connection of its own. Target: the slowest single endpoint
// plus 50 ms ("over-ms").
func BenchmarkMorning(b *testing.B) {
	world, err := estate.Start(estate.Config{Latency: endpointLatency})
	require.NoError(b, err)
	defer world.Close()
	src := config.Source{Name: sampleName, Text: sample, Getenv: world.Getenv}
	var total, slowest float64
	b.ReportAllocs()
	for b.Loop() {
		r, err := ask(b.Context(), src, world.Client(), options{timeout: 15 * time.Second})
		require.NoError(b, err)
		require.Equal(b, exitHealthy, r.ExitCode, r.Summary)
		total += r.DurationMS
		longest := 0.0
		for _, env := range r.Environments {
			for _, c := range env.Checks {
				longest = max(longest, c.DurationMS)
			}
		}
		slowest += longest
	}
	n := float64(b.N)
	b.ReportMetric(total/n, "total-ms")
	b.ReportMetric(slowest/n, "slowest-ms")
	b.ReportMetric((total-slowest)/n, "over-ms")
}

// BenchmarkRunbookScript is the runbook's own shell for the same, with curl and
// jq one after another, against the same estate.
func BenchmarkRunbookScript(b *testing.B) {
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skipf("%s is not installed", tool)
		}
	}
	world, err := estate.Start(estate.Config{Latency: endpointLatency})
	require.NoError(b, err)
	defer world.Close()
	authority := filepath.Join(b.TempDir(), "ca.pem")
	require.NoError(b, os.WriteFile(authority, world.Authority(), 0o600))
	env := append(os.Environ(), "CACERT="+authority, "CONNECT="+connect(b, world))
	for _, e := range estate.Environments() {
		name := "QA_AUTOMATION_" + strings.ToUpper(e.Name) + "_TOKEN"
		env = append(env, name+"="+world.Getenv(name))
	}
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), "bash", "testdata/runbook.sh")
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		require.NoError(b, err, "%s", out)
		require.Equal(b, 3, strings.Count(string(out), "✅ Canvas"), "%s", out)
		require.Contains(b, string(out), "Active sessions: 42\nActive QA tasks: 3\nRecent errors: 1\n")
	}
}

// connect returns the flags that lead curl to the estate.
func connect(b *testing.B, world *estate.Estate) string {
	var flags []string
	for _, e := range estate.Environments() {
		address, ok := world.Address(e.Application)
		require.True(b, ok)
		flags = append(flags, "--connect-to "+e.Application+":443:"+address)
	}
	return strings.Join(flags, " ")
}
