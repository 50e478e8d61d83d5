package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What bash completes: commands, flags, and the names of playbooks, with nothing of a system
// that is not always there.
func TestBashCompletes(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	path, err := shipped()
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		typed      string // the last word is completed
		want, lack []string
	}{
		"a command":              {"opsd rol", []string{"rollback"}, []string{"run", "restart"}},
		"all commands":           {"opsd ", []string{"serve", "check", "run", "completion", "drill"}, []string{"-config"}},
		"below a command":        {"opsd state ", []string{"backup", "restore"}, []string{"serve"}},
		"a flag":                 {"opsd run --de", []string{"--detach"}, []string{"--here"}},
		"flags":                  {"opsd run --", []string{"--detach", "--here", "--environment", "--config"}, []string{"restart"}},
		"a playbook":             {"opsd run res", []string{"restart"}, []string{"roll-back", "rollback"}},
		"playbooks":              {"opsd run ", []string{"restart", "roll-back", "deploy"}, []string{"serve"}},
		"a playbook to plan":     {"opsd plan rol", []string{"roll-back"}, []string{"rollback"}},
		"a playbook to look at":  {"opsd playbooks rol", []string{"roll-back"}, nil},
		"a playbook after flags": {"opsd run --detach roll", []string{"roll-back"}, nil},
		"one playbook only":      {"opsd run restart r", nil, []string{"restart", "roll-back"}},
		"a flag after it":        {"opsd run restart --det", []string{"--detach"}, nil},
		"a configuration":        {"opsd --config there-is-none.yaml run res", []string{"restart"}, nil},
		"nothing":                {"opsd nothing-like-this", nil, []string{"serve"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), bash, "--norc", "--noprofile", "-uc", `
source <(opsd completion bash)
set +u
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_TYPE=9
COMP_POINT=${#COMP_LINE}
__opsd_bash_autocomplete
printf '%s\n' "${COMPREPLY[@]}"`, "bash")
			cmd.Args = append(cmd.Args, strings.Split(tt.typed, " ")...)
			cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + filepath.Dir(path) + string(os.PathListSeparator) + os.Getenv("PATH")}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			got := strings.Fields(string(out))
			assert.Subset(t, got, tt.want, "%s", out)
			for _, word := range tt.lack {
				assert.NotContains(t, got, word)
			}
		})
	}
}
