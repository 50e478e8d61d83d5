//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// buildahVariable names the program buildah, with which a test builds the Dockerfile, as root.
const buildahVariable = "RUNBOOK_BUILDAH"

// A builder builds images in a folder of its own, and asks nobody for one.
type builder struct {
	t       *testing.T
	program string
	folder  string
}

func (b builder) command(verb string, args ...string) *exec.Cmd {
	b.t.Helper()
	all := append([]string{"--root", filepath.Join(b.folder, "root"), "--runroot", filepath.Join(b.folder, "run"), "--storage-driver", "vfs", verb}, args...)
	return exec.Command(b.program, all...)
}

func (b builder) do(verb string, args ...string) string {
	b.t.Helper()
	cmd := b.command(verb, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(b.t, err, "buildah %s %s: %s%s", verb, strings.Join(args, " "), out, errs.String())
	return strings.TrimSpace(string(out))
}

// base makes the image from which the Dockerfile starts out of what this machine has: a shell,
// and the roots of TLS. Its apk does nothing: what it would install is there. Go and the
// modules are mounted while it builds.
func (b builder) base(name string) {
	b.t.Helper()
	folder := b.t.TempDir()
	from := filepath.Join(folder, "top")
	put := func(path string) {
		data, err := os.ReadFile(path)
		require.NoError(b.t, err)
		require.NoError(b.t, os.MkdirAll(filepath.Join(from, filepath.Dir(path)), 0o755))
		require.NoError(b.t, os.WriteFile(filepath.Join(from, path), data, 0o755))
	}
	for _, program := range []string{"/bin/sh", "/bin/mkdir"} {
		put(program)
		libraries, err := exec.Command("ldd", program).Output()
		require.NoError(b.t, err)
		for _, library := range regexp.MustCompile(`(?m)(/\S+) \(0x`).FindAllStringSubmatch(string(libraries), -1) {
			put(library[1])
		}
	}
	put("/etc/ssl/certs/ca-certificates.crt")
	require.NoError(b.t, os.Mkdir(filepath.Join(from, "tmp"), 0o755))
	require.NoError(b.t, os.WriteFile(filepath.Join(from, "bin", "apk"), []byte("#!/bin/sh\n"), 0o755))
	require.NoError(b.t, os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte("FROM scratch\nCOPY top /\nENV PATH=/usr/local/go/bin:/bin GOPROXY=off GOMODCACHE=/root/go/pkg/mod GOCACHE=/root/.cache/go-build\n"), 0o600))
	b.do("bud", "--isolation", "chroot", "-t", name, folder)
}

// The Dockerfile is built, from nothing that is not on this machine, and what is in the image
// runs as it says: as nobody, with a state, and it answers.
func TestTheImageIsBuilt(t *testing.T) {
	program := os.Getenv(buildahVariable)
	if program == "" || os.Geteuid() != 0 {
		t.Skipf("%s does not name buildah, or this is not root", buildahVariable)
	}
	b := builder{t, program, t.TempDir()}
	text, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	b.base(regexp.MustCompile(`FROM (golang:\S+)`).FindStringSubmatch(string(text))[1])
	cmd := exec.Command("go", "mod", "download")
	cmd.Dir = module
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	goes := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	b.do("bud", "--isolation", "chroot", "--pull-never", "-t", "opsd", "-f", "Dockerfile",
		"--volume", goes("GOROOT")+":/usr/local/go:ro", "--volume", goes("GOMODCACHE")+":/root/go/pkg/mod:ro", "--volume", goes("GOCACHE")+":/root/.cache/go-build",
		module)

	var image struct {
		Docker struct {
			Config struct {
				User                 string
				Entrypoint, Cmd, Env []string
				ExposedPorts         map[string]any
			} `json:"config"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(b.do("inspect", "--type", "image", "opsd")), &image))
	config := image.Docker.Config
	assert.Equal(t, "65532:65532", config.User)
	assert.Equal(t, []string{"/opsd", "serve"}, append(config.Entrypoint, config.Cmd...))
	assert.Contains(t, config.Env, "OPSD_CONFIG=/etc/opsd/opsd.yaml")
	assert.Contains(t, config.ExposedPorts, "8787/tcp")

	container := b.do("from", "--pull-never", "opsd")
	top := b.do("mount", container)
	names, err := filepath.Glob(filepath.Join(top, "*"))
	require.NoError(t, err)
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	assert.ElementsMatch(t, []string{"etc", "opsd", "state"}, names)
	info, err := os.Stat(filepath.Join(top, "state"))
	require.NoError(t, err)
	assert.EqualValues(t, 65532, info.Sys().(*syscall.Stat_t).Uid)
	golden(t, "help", b.do("run", "--isolation", "chroot", container, "--", "/opsd", "-h")+"\n")
	b.serves(container)
	b.do("umount", container)
}

// serves starts the program of a container, and asks it whether it is ready.
func (b builder) serves(container string) {
	b.t.Helper()
	cmd := b.command("run", "--isolation", "chroot", "--env", "OPSD_CONFIG=", container, "--", "/opsd", "serve", "-listen", "127.0.0.1:0", "-state", "/state")
	errs, err := cmd.StderrPipe()
	require.NoError(b.t, err)
	require.NoError(b.t, cmd.Start())
	address := ""
	lines := bufio.NewScanner(errs)
	for address == "" && lines.Scan() {
		address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text())
	}
	rest := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(errs) // until it has ended
		rest <- string(all)
	}()
	if assert.NotEmpty(b.t, address, "it does not start") {
		ctx, cancel := context.WithTimeout(b.t.Context(), stopWithin)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/readyz", nil)
		require.NoError(b.t, err)
		resp, err := http.DefaultClient.Do(r)
		if assert.NoError(b.t, err) {
			assert.Equal(b.t, http.StatusOK, resp.StatusCode)
			_ = resp.Body.Close()
		}
	}
	require.NoError(b.t, cmd.Process.Signal(syscall.SIGTERM))
	said := <-rest
	_ = cmd.Wait() // buildah kills it; other tests show how it stops
	assert.NotContains(b.t, said, "panic")
}
