package main

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
)

// alertmanagerStore is where Alertmanager puts alerts first, with nobody who reads them.
func alertmanagerStore() alerter {
	return alerter{name: "alertmanager, mem.Alerts alone", start: func(n int, _ string, _ time.Duration) *alerting {
		alerts := amAlerts(nil, prometheus.NewRegistry())
		r := putting(alerts, n)
		r.grouped = func() (n int) {
			it := alerts.GetPending()
			defer it.Close()
			for range it.Next() {
				n++
			}
			return n
		}
		r.stop = alerts.Close
		return r
	}}
}

// alertmanager is what Alertmanager's server makes of its packages, in this process,
// without HTTP, a cluster, files, templates and rules of inhibition.
func alertmanager() alerter {
	return alerter{name: "prometheus/alertmanager v0.35.0", groups: true, start: func(n int, by string, wait time.Duration) *alerting {
		reg := prometheus.NewRegistry()
		silences, err := silence.New(silence.Options{Retention: 120 * time.Hour, Logger: silent, Metrics: reg, EventRecorder: unrecorded})
		must(err)
		silencer := silence.NewSilencer(silences, silent, unrecorded)
		alerts := amAlerts(silencer, reg)
		inhibitor := inhibit.NewInhibitor(alerts, nil, silent, unrecorded)
		go inhibitor.Run()
		inhibitor.WaitForLoading()
		log, err := nflog.New(nflog.Options{Retention: 120 * time.Hour, Logger: silent, Metrics: reg})
		must(err)
		receiver, intervals := &counted{}, timeinterval.NewIntervener(nil)
		pipeline := notify.NewPipelineBuilder(reg, featurecontrol.NoopFlags{}, unrecorded).New(
			map[string][]notify.Integration{"team": {notify.NewIntegration(receiver, receiver, "counted", 0, "team")}},
			func() time.Duration { return 0 }, inhibitor, silencer, intervals, log, nil)
		d := dispatch.NewDispatcher(alerts, amRoute(by, wait), pipeline, intervals, func(d time.Duration) time.Duration { return max(d, notify.MinTimeout) },
			30*time.Second, nil, silent, unrecorded, dispatch.NewDispatcherMetrics(false, reg, nil), nil)
		go d.Run(time.Now())
		d.WaitForLoading()
		time.Sleep(50 * time.Millisecond) // until it runs: there is no call that says so

		r := putting(alerts, n)
		r.grouped = func() int { return inGroups(d) }
		r.told = func() int { return int(receiver.n.Load()) }
		r.stop = func() {
			d.Stop()
			inhibitor.Stop()
			alerts.Close()
		}
		return r
	}}
}

var (
	silent     = slog.New(slog.DiscardHandler)
	unrecorded = eventrecorder.NopRecorder()
)

func amAlerts(silencer *silence.Silencer, reg prometheus.Registerer) *mem.Alerts {
	var callback mem.AlertStoreCallback
	if silencer != nil {
		callback = silencer
	}
	alerts, err := mem.NewAlerts(context.Background(), 30*time.Minute, 0, callback, silent, unrecorded, reg, featurecontrol.NoopFlags{})
	must(err)
	return alerts
}

// amRoute leads everything to one receiver, with the intervals that are the defaults.
func amRoute(by string, wait time.Duration) *dispatch.Route {
	groupBy := model.LabelName(by)
	if by == byRule {
		groupBy = model.AlertNameLabel
	}
	groupWait, groupInterval, repeat := model.Duration(wait), model.Duration(5*time.Minute), model.Duration(4*time.Hour)
	return dispatch.NewRoute(&config.Route{
		Receiver: "team", GroupBy: []model.LabelName{groupBy}, GroupWait: &groupWait, GroupInterval: &groupInterval, RepeatInterval: &repeat,
	}, nil)
}

// putting makes n alerts, and puts them as the API does when they are posted: each
// time as a new value, which ends later.
func putting(alerts *mem.Alerts, n int) *alerting {
	made := make([]model.Alert, n)
	for i := range made {
		entity := "service-" + strconv.Itoa(i)
		made[i] = model.Alert{
			Labels: model.LabelSet{
				model.AlertNameLabel: "HealthCheck", "environment": "production", "entity": model.LabelValue(entity), "severity": "high", "team": "qa",
			},
			Annotations: model.LabelSet{"summary": model.LabelValue(entity + " has failed 3 checks in a row"), "runbook_url": "application-down"},
			StartsAt:    time.Now(),
		}
	}
	return &alerting{
		put: func(i int) {
			now := time.Now()
			made[i].EndsAt = now.Add(5 * time.Minute)
			must(alerts.Put(context.Background(), amalert.New(made[i], now, true)))
		},
		forget: func() { made = nil },
	}
}

// inGroups counts the alerts that are in groups.
func inGroups(d *dispatch.Dispatcher) (n int) {
	groups, _, err := d.Groups(context.Background(), func(*dispatch.Route) bool { return true },
		func(*amalert.Alert, time.Time) (status amalert.AlertStatus, ok bool) { return status, true })
	must(err)
	for _, g := range groups {
		n += len(g.Alerts)
	}
	return n
}

// counted is a receiver that counts messages.
type counted struct{ n atomic.Int64 }

func (c *counted) Notify(context.Context, ...*amalert.Alert) notify.NotifyVerdict {
	c.n.Add(1)
	return notify.Success()
}

func (*counted) SendResolved() bool { return true }
