// Peers prints, side by side, what package health and other libraries for
// health checks take for the same work, and what the least is; with -lti, what
// package lti and libraries for tokens take for a launch; with -alerts, what
// package alert and Alertmanager take for an alert: see README.md.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func main() {
	testing.Init()
	count := flag.Int("count", 3, "benchmarks of each cell, of which the fastest counts")
	benchtime := flag.String("benchtime", "200ms", "time of each benchmark")
	observe := flag.Duration("observe", 20*time.Second, "time for which a schedule is observed")
	long := flag.Bool("long", false, "have go-sundheit schedule 10,000 checks too: it takes minutes to register them")
	launch := flag.Bool("lti", false, "print the table of LTI launches, and not that of health checks")
	alerts := flag.Bool("alerts", false, "print the table of alerts, and not that of health checks")
	cell := flag.String("cell", "", "measure one cell in a process of its own (used by this program itself)")
	flag.Parse()
	must(flag.Set("test.benchtime", *benchtime))

	switch {
	case *launch:
		ltiTable(*count)
		return
	case *alerts && *cell != "":
		fmt.Print(groupMemory(*cell, *observe))
		return
	case *alerts:
		alertTable(*count, *observe)
		return
	}
	libraries := []library{ours(), alexliesenfeld(), sundheit(), hellofresh(), floor()}
	if *cell != "" {
		fmt.Print(scheduleCell(libraries, *cell, *observe))
		return
	}
	header := "| " + machine() + " "
	for _, l := range libraries {
		header += "| " + l.name + " "
	}
	fmt.Println(header + "|\n|" + strings.Repeat("---|", 1+len(libraries)))
	for _, r := range append(quickRows(*count), scheduleRows(*observe, *long)...) {
		fmt.Printf("| %s ", r.title)
		for _, l := range libraries {
			fmt.Printf("| %s ", r.measure(l))
		}
		fmt.Println("|")
	}
}

// A row measures one thing for a library. Its text is a dash if the library
// cannot do it.
type row struct {
	title   string
	measure func(library) string
}

const none = "–"

func quickRows(count int) []row {
	var rows []row
	sized := func(title string, measure func(l library, n int) string) {
		for _, n := range []int{10, 100, 1000} {
			rows = append(rows, row{fmt.Sprintf("%s, N=%d", title, n), func(l library) string { return measure(l, n) }})
		}
	}
	sized("run all, trivial checks", func(l library, n int) string {
		if l.round == nil {
			return none
		}
		return best(count, l.round(trivial(n, nil), 0))
	})
	rows = append(rows, row{"run all, 1,000 checks of 50 ms at once", func(l library) string {
		if l.round == nil {
			return none
		}
		return best(count, l.round(waiting(1000, 50*time.Millisecond), 1000))
	}})
	reading := func(which func(*running) func() bool) func(library, int) string {
		return func(l library, n int) string {
			r := idle(l, n)
			if r == nil {
				return none
			}
			defer r.end()
			if which(r) == nil {
				return none
			}
			return best(count, which(r))
		}
	}
	sized("read the kept states", reading(func(r *running) func() bool { return r.read }))
	sized("read the kept overall status", reading(func(r *running) func() bool { return r.status }))
	type maker func(*running, []check) http.Handler
	serving := func(which func(library) maker, interval time.Duration) func(library, int) string {
		return func(l library, n int) string {
			if which(l) == nil {
				return none
			}
			r := started(l, n, interval)
			defer r.end()
			return best(count, ready(request(which(l)(r, trivial(n, nil)))))
		}
	}
	sized("GET every detail", serving(func(l library) maker { return l.everything }, time.Hour))
	rows = append(rows, row{"GET every detail, N=1000, while each runs every 10 s", func(l library) string {
		return serving(func(l library) maker { return l.everything }, 10*time.Second)(l, 1000)
	}})
	sized("GET names and states", serving(func(l library) maker { return l.states }, time.Hour))
	sized("GET the overall status", serving(func(l library) maker { return l.overall }, time.Hour))
	return rows
}

// ready waits until f reports true for the first time.
func ready(f func() bool) func() bool {
	for !f() {
		time.Sleep(10 * time.Millisecond)
	}
	return f
}

func scheduleRows(observe time.Duration, long bool) []row {
	child := func(l library, kind string) string {
		if l.start == nil {
			return none
		}
		return itself("-cell", l.name+"|"+kind, "-observe", observe.String())
	}
	hanging := func(l library, kind string) string {
		if l.name == floor().name { // its workers hang for good
			return none
		}
		return child(l, kind)
	}
	return []row{
		{"1,000 trivial checks every 10 s", func(l library) string { return child(l, "1000") }},
		{"10,000 trivial checks every 10 s", func(l library) string {
			if l.name == sundheit().name && !long {
				return "not without -long"
			}
			return child(l, "10000")
		}},
		{"64 of 128 checks hang, every 2 s, timeout 500 ms", func(l library) string { return hanging(l, "hang-short") }},
		{"64 of 128 checks hang, every 1 s, timeout 1 s", func(l library) string { return hanging(l, "hang-long") }},
	}
}

// scheduleCell measures the cell "library|kind".
func scheduleCell(libraries []library, cell string, observe time.Duration) string {
	which, kind, _ := strings.Cut(cell, "|")
	for _, l := range libraries {
		switch {
		case l.name != which:
		case kind == "hang-short":
			return stuck(l, 2*time.Second, 500*time.Millisecond)
		case kind == "hang-long":
			return stuck(l, time.Second, time.Second)
		case kind == "1000":
			return schedule(l, 1000, observe)
		case kind == "10000":
			return schedule(l, 10_000, observe)
		}
	}
	panic("no such cell: " + cell)
}

// machine says where and when the table was made.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores, %s, %s, %s", runtime.NumCPU(), model, runtime.Version(), time.Now().Format(time.DateOnly))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
