package main

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// module is the top of the module, from which the image is built.
const module = "../.."

// shippedIn is the folder of the program that shipped made; empty if it made none.
var shippedIn string

// shipped builds the program as the image has it, once, and returns its path: processes of
// tests are what is shipped.
var shipped = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		return "", err
	}
	env, args, err := buildLine(string(text))
	if err != nil {
		return "", err
	}
	if shippedIn, err = os.MkdirTemp("", "opsd-shipped-"); err != nil {
		return "", err
	}
	path := filepath.Join(shippedIn, "opsd")
	for i, arg := range args {
		if arg == "-o" {
			args[i+1] = path
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = module, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return path, nil
})

var goBuild = regexp.MustCompile(`(?m)^RUN ((?:[A-Z_]+=\S+ )*)(go build .*?)(?: \\)?$`)

// buildLine returns the command by which a Dockerfile builds the program, and what it sets in
// the environment.
func buildLine(dockerfile string) (env, args []string, err error) {
	m := goBuild.FindStringSubmatch(dockerfile)
	if m == nil {
		return nil, nil, errors.New("the Dockerfile has no line RUN go build")
	}
	quoted := false
	for _, word := range strings.FieldsFunc(m[2], func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	}) {
		args = append(args, strings.ReplaceAll(word, `"`, ""))
	}
	return strings.Fields(m[1]), args, nil
}

// TestTheImageIsBuilt builds the image, where there is buildah. What can be seen without is: that what the Dockerfile
// names is there, that its Go is that of the module, and that the program which is built as it
// says needs nothing else to run.
func TestTheImage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	require.NoError(t, err)
	image, want := regexp.MustCompile(`FROM golang:(\d+\.\d+)`).FindSubmatch(text), regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	require.NotNil(t, image)
	require.NotNil(t, want)
	assert.Equal(t, string(want[1]), string(image[1]), "the Go of the image")
	for _, line := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(string(text), -1) {
		for from := range strings.FieldsSeq(line[1]) {
			_, err := os.Stat(filepath.Join(module, from))
			assert.NoError(t, err, "COPY %s", line[1])
		}
	}
	_, port, _ := strings.Cut(defaultListen, ":")
	assert.Contains(t, string(text), "EXPOSE "+port+"\n")

	path, err := shipped()
	require.NoError(t, err)
	info, err := buildinfo.ReadFile(path)
	require.NoError(t, err)
	with := make(map[string]string)
	for _, s := range info.Settings {
		with[s.Key] = s.Value
	}
	assert.Equal(t, "0", with["CGO_ENABLED"])
	assert.Equal(t, "true", with["-trimpath"])
	assert.Equal(t, "timetzdata", with["-tags"], "there are no zones in the image")
	size, err := os.Stat(path)
	require.NoError(t, err)
	t.Logf("the program has %.1f MB, and so has the image, but for the certificates", float64(size.Size())/1e6)
	assert.Less(t, size.Size(), int64(64e6))
	if runtime.GOOS == "linux" {
		file, err := elf.Open(path)
		require.NoError(t, err)
		defer file.Close()
		for _, p := range file.Progs {
			assert.NotEqual(t, elf.PT_INTERP, p.Type, "it is linked to libraries, and there are none in the image")
		}
	}
	// It runs where there is nothing: no file, no variable.
	cmd := exec.CommandContext(t.Context(), path, "-h")
	cmd.Dir, cmd.Env = t.TempDir(), []string{}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	golden(t, "help", string(out))
}

// The service on Railway is built from the file that is there, is asked whether it is well
// where opsd answers that, and is given the variables that the configuration of init names.
func TestTheServiceOnRailway(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(".railway/railway.ts")
	require.NoError(t, err)
	value := func(key string) string {
		m := regexp.MustCompile(key + `: "([^"]+)"`).FindSubmatch(text)
		require.NotNil(t, m, key)
		return string(m[1])
	}
	_, err = os.Stat(filepath.Join(module, value("dockerfilePath")))
	require.NoError(t, err)
	assert.Equal(t, "/readyz", value("healthcheckPath"))
	assert.True(t, strings.HasPrefix(value("OPSD_CONFIG"), "/state/"), "on the volume")
	assert.Contains(t, string(text), `"/state": state`)
	_, port, _ := strings.Cut(defaultListen, ":")
	assert.Equal(t, port, value("PORT"))
	declared, read := make(map[string]bool), make(map[string]bool)
	for _, m := range regexp.MustCompile(`(\w+): preserve\(\)`).FindAllStringSubmatch(string(text), -1) {
		declared[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^[^#\n]*\{env: (\w+)\}`).FindAllStringSubmatch(string(sample), -1) {
		read[m[1]] = true
	}
	assert.Equal(t, read, declared, "an apply deletes what is not declared, and what nothing reads is no use")
}
