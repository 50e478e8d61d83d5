package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// An alerter is one column of the table of alerts: what puts alerts together, and
// tells of each group.
type alerter struct {
	name string
	// groups is whether it puts alerts together at all.
	groups bool
	// start makes one, and n alerts that are not handed over yet. Those with the
	// same value of a label are a group, which is told after wait.
	start func(n int, by string, wait time.Duration) *alerting
}

// An alerting is a started alerter.
type alerting struct {
	// put hands over that alert i fires, with another value than before.
	put func(i int)
	// grouped and told are how many alerts are in groups, and how many messages of
	// groups were sent.
	grouped, told func() int
	// forget lets go of the alerts that were made to be handed over.
	forget, stop func()
}

// Labels by which alerts are put together: all have the same rule, and each has an
// entity of its own.
const (
	byRule   = "rule"
	byEntity = "entity"
)

func alerters() []alerter { return []alerter{ourRouter(), alertmanager(), alertmanagerStore()} }

// alertsSize is how many alerts a batch has.
const alertsSize = 10_000

// alertTable prints what alerts take: processor time, allocations and bytes of
// each, in the fastest of some batches, and the memory of groups.
func alertTable(count int, observe time.Duration) {
	header := "| " + machine() + " "
	for _, a := range alerters() {
		header += "| " + a.name + " "
	}
	fmt.Println(header + "|\n|" + strings.Repeat("---|", 1+len(alerters())))
	for _, r := range []struct {
		title   string
		groups  bool // it is about groups
		measure func(alerter) string
	}{
		{"an alert that fires already, with another value", false, func(a alerter) string { return bestAlerts(count, a, repeated) }},
		{"a new alert, into a group of many", false, func(a alerter) string { return bestAlerts(count, a, fresh(byRule)) }},
		{"a new alert, a group of its own", true, func(a alerter) string { return bestAlerts(count, a, fresh(byEntity)) }},
		{"10,000 groups that were told", true, func(a alerter) string {
			return itself("-alerts", "-cell", a.name, "-observe", observe.String())
		}},
	} {
		fmt.Printf("| %s ", r.title)
		for _, a := range alerters() {
			text := none
			if a.groups || !r.groups {
				text = r.measure(a)
			}
			fmt.Printf("| %s ", text)
		}
		fmt.Println("|")
	}
}

// itself runs this program once more, in a process of its own.
func itself(args ...string) string {
	self, err := os.Executable()
	must(err)
	measure := exec.Command(self, args...)
	measure.Stderr = os.Stderr
	out, err := measure.Output()
	must(err)
	return string(out)
}

// bestAlerts measures some batches, each of which is made anew.
func bestAlerts(count int, a alerter, of func(alerter) batch) string {
	var fastest batch
	for i := range max(count, 1) {
		if b := of(a); i == 0 || b.cpu < fastest.cpu {
			fastest = b
		}
	}
	return fmt.Sprintf("%s, %d, %d B", short(fastest.cpu/alertsSize), fastest.allocations/alertsSize, fastest.size/alertsSize)
}

// repeated hands one alert over again and again.
func repeated(a alerter) batch {
	r := a.start(1, byEntity, time.Hour)
	defer r.stop()
	r.put(0)
	return r.batch(1, func(int) { r.put(0) })
}

// fresh hands over alerts that were not there.
func fresh(by string) func(alerter) batch {
	return func(a alerter) batch {
		r := a.start(alertsSize, by, time.Hour)
		defer r.stop()
		return r.batch(alertsSize, r.put)
	}
}

// batch measures put, and what it leaves others to do, until all that there is is
// in groups.
func (r *alerting) batch(all int, put func(i int)) batch {
	var before, after runtime.MemStats
	runtime.GC() // of what the one before has left
	runtime.ReadMemStats(&before)
	from := cpuTime()
	for i := range alertsSize {
		put(i)
	}
	time.Sleep(50 * time.Millisecond) // for a channel of 200 alerts; it takes no processor time
	cpu := cpuTime() - from
	runtime.ReadMemStats(&after)
	if n := r.grouped(); n != all {
		panic(fmt.Sprintf("%d alerts are in groups, and not %d", n, all))
	}
	return batch{cpu, after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc}
}

// groupMemory measures ten thousand groups that were told, and what they take while
// nothing happens. Call it in a process of its own.
func groupMemory(name string, observe time.Duration) string {
	for _, a := range alerters() {
		if a.name != name {
			continue
		}
		goroutines, memory, resident := runtime.NumGoroutine(), memoryUsed(), residentMost()
		r := a.start(alertsSize, byEntity, 0)
		for i := range alertsSize {
			r.put(i)
		}
		r.forget()
		for r.told() < alertsSize {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second) // for what follows the last message
		used := float64(memoryUsed()-memory) / 1e6
		goroutines = runtime.NumGoroutine() - goroutines
		cpu := cpuTime()
		time.Sleep(observe)
		cpu = cpuTime() - cpu
		if n := r.told(); n != alertsSize {
			panic(fmt.Sprintf("%d messages were sent", n))
		}
		r.stop()
		return fmt.Sprintf("%.1f MB; resident at most +%.0f MB; +%d goroutines; %.1f %% CPU when idle",
			used, float64(residentMost()-resident)/1e6, goroutines, 100*cpu.Seconds()/observe.Seconds())
	}
	panic("no such alerter: " + name)
}

// residentMost returns the most bytes that the process had in memory since it was
// started. What getrusage says is no less than what its parent had.
func residentMost() int64 {
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(size), " kB"), 10, 64)
			must(err)
			return kb << 10
		}
	}
	panic("the kernel does not say it")
}

// ourRouter keeps nothing on disk, as Alertmanager keeps no alerts there.
func ourRouter() alerter {
	return alerter{name: "runbook/alert", groups: true, start: func(n int, by string, wait time.Duration) *alerting {
		var told atomic.Int64
		if wait == 0 {
			wait = -1 // which is none
		}
		r, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{{
				Name: "team", PerSecond: 1e6, Burst: 1 << 30, Storm: 1 << 30,
				Notifier: alert.NotifierFunc(func(context.Context, alert.Notification) (alert.Receipt, error) {
					told.Add(1)
					return "", nil
				}),
			}},
			Routes: []alert.Route{{Name: "all", Targets: []string{"team"}, GroupBy: []string{by}, Wait: wait}},
			Logger: silent,
		})
		must(err)
		must(r.Start(context.Background()))
		alerts := make([]alert.Alert, n)
		for i := range alerts {
			now, entity := time.Now(), "service-"+strconv.Itoa(i)
			alerts[i] = alert.Alert{
				Key: alert.Key("HealthCheck", "production", entity, alert.Failing), Rule: "HealthCheck", Environment: "production", Entity: entity,
				Severity: alert.High, Labels: map[string]string{"team": "qa"}, Summary: entity + " has failed 3 checks in a row", Playbook: "application-down",
				State: alert.Firing, Began: now, Fired: now,
			}
		}
		return &alerting{
			put: func(i int) {
				alerts[i].Value++
				must(r.Handle(context.Background(), alerts[i]))
			},
			grouped: func() int { return len(r.Alerts()) },
			told:    func() int { return int(told.Load()) },
			forget:  func() { alerts = nil },
			stop:    func() { must(r.Stop(context.Background())) },
		}
	}}
}
