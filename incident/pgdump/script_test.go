package pgdump_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident/pgdump"
)

func TestReadScript(t *testing.T) {
	t.Parallel()
	table := func(schema, name string, rows int64) pgdump.TableRows {
		return pgdump.TableRows{TableName: pgdump.TableName{Schema: schema, Name: name}, Rows: rows}
	}
	long := strings.Repeat("x", pgdump.MaxLine+10)
	for name, test := range map[string]struct {
		script string
		want   pgdump.ScriptOf
	}{
		"empty": {"", pgdump.ScriptOf{}},
		"rows that look like other things": {
			"COPY public.t (a) FROM stdin;\nCOPY public.u (a) FROM stdin;\n\\\\.\n-- PostgreSQL database dump complete\n\n\\.\n-- PostgreSQL database dump complete\n",
			pgdump.ScriptOf{Tables: []pgdump.TableRows{table("public", "t", 4)}, Complete: true},
		},
		"a row longer than the buffer": {
			"COPY public.t (a) FROM stdin;\n" + long + "\n" + long + long + "\nshort\n\\.\nCOPY public.u (a) FROM stdin;\nlast",
			pgdump.ScriptOf{Tables: []pgdump.TableRows{table("public", "t", 3), table("public", "u", 1)}},
		},
		"quoted names": {
			`COPY "A ""b"".c"."d.e (f)" (a) FROM stdin;` + "\n\\.\n",
			pgdump.ScriptOf{Tables: []pgdump.TableRows{table(`A "b".c`, "d.e (f)", 0)}},
		},
		"drops end where objects begin": {
			"-- Dumped from database version 9.6.1 x\n-- Dumped by pg_dump version 17beta1\nDROP VIEW IF EXISTS public.v;\nDROP TABLE IF EXISTS public.\"a\nb\";\n" +
				"ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS c;\nDROP TABLE IF EXISTS public.t;\n-- Name: f()\nDROP TABLE IF EXISTS public.in_a_function;\n-- Dumped from database version 1\n",
			pgdump.ScriptOf{Server: "9.6.1", Dump: "17beta1", Drops: []string{"DROP VIEW IF EXISTS public.v;", "DROP TABLE IF EXISTS public.\"a\nb\";",
				"ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS c;", "DROP TABLE IF EXISTS public.t;"},
				Names: []pgdump.TableName{{Schema: "public", Name: "a\nb"}, {Schema: "public", Name: "t"}}},
		},
		"large objects": {"SELECT pg_catalog.lo_open('1', 131072);\nSELECT pg_catalog.lowrite(0, '\\x00');\nSELECT pg_catalog.lo_open('2', 131072);\n", pgdump.ScriptOf{LargeObjects: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := pgdump.ReadScript(strings.NewReader(test.script))
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	_, err := pgdump.ReadScript(strings.NewReader("COPY nonsense FROM stdin;\n"))
	require.ErrorContains(t, err, "not understood")
	_, err = pgdump.ReadScript(strings.NewReader(strings.Repeat("DROP "+strings.Repeat("y", 1<<19-10)+"\n", 130)))
	require.ErrorContains(t, err, "more objects than can be listed")
}

func FuzzReadScript(f *testing.F) {
	f.Add("COPY public.t (a) FROM stdin;\n1\n\\.\n")
	f.Add("DROP TABLE IF EXISTS \"a\"\"b\".c;\n-- Name: x\n")
	f.Add("DROP \"\nx\nDROP TABLE a.b")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := pgdump.ReadScript(strings.NewReader(text))
		if err != nil {
			return
		}
		var rows int64
		for _, table := range s.Tables {
			rows += table.Rows
		}
		assert.LessOrEqual(t, rows, int64(strings.Count(text, "\n")+1))
		assert.LessOrEqual(t, len(s.Drops), strings.Count(text, "DROP "))
	})
}
