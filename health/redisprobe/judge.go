package redisprobe

import (
	"fmt"
	"math"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// judge adds what INFO tells. Asked is when INFO was sent.
func (p *Prober) judge(r health.Result, in info, asked time.Time) health.Result {
	if len(in) == 0 {
		return found(r, health.Degraded, health.CauseProtocol, "its answer to INFO has no fields")
	}
	r = judgeLoading(r, in)
	r = p.judgeRole(r, in)
	r = p.judgeMemory(r, in)
	r = p.judgeClients(r, in)
	r = p.judgeCounters(r, in, asked)
	r = judgePersistence(r, in)
	r = text(r, in, "redis_version")
	r, _, _ = plain(r, in, "uptime_in_seconds", "uptime", health.Seconds)
	return r
}

// found adds a finding about what INFO tells.
func found(r health.Result, s health.Status, c health.Cause, format string, args ...any) health.Result {
	return r.Worsen(s, c, fmt.Sprintf(format, args...))
}

// missing adds that a limit could not be looked at.
func missing(r health.Result, limit health.Limit, field string) health.Result {
	if !isSet(limit) {
		return r
	}
	return found(r, health.Degraded, health.CauseMissing, "INFO has no number %s, for which there is a limit", field)
}

func judgeLoading(r health.Result, in info) health.Result {
	if in["loading"] != "1" {
		return r
	}
	detail := ""
	if done, ok := in.number("loading_loaded_perc"); ok {
		detail = fmt.Sprintf(", %.0f %% done", done)
		r = netcheck.With(r, health.Measurement{Name: "loading_progress", Value: done, Unit: health.Percent})
	}
	if left, ok := in.number("loading_eta_seconds"); ok && left >= 0 {
		detail += fmt.Sprintf(", about %.0f s left", left)
	}
	return found(r, health.Unhealthy, CauseStarting, "it is still loading its data from disk%s", detail)
}

func (p *Prober) judgeMemory(r health.Result, in info) health.Result {
	r, used, ok := plain(r, in, "used_memory", "used_memory", health.Bytes)
	if !ok {
		r = missing(r, p.cfg.Memory, "used_memory")
	}
	r, most, _ := plain(r, in, "maxmemory", "maxmemory", health.Bytes)
	r, _, _ = plain(r, in, "total_system_memory", "system_memory", health.Bytes)
	r = text(r, in, "maxmemory_policy")
	own := most > 0
	if !own {
		most = float64(p.cfg.MaxMemory)
	}
	if !ok || most <= 0 {
		return r
	}
	if own {
		// What Redis itself does not count when it decides about eviction:
		// the buffers of replicas and of the append-only file.
		if buffers, ok := in.number("mem_not_counted_for_evict"); ok {
			used -= buffers
		}
	}
	r = p.cfg.Memory.Apply(r, health.Measurement{Name: "memory_used", Value: percent(used, most), Unit: health.Percent})
	if own && used > most && in["maxmemory_policy"] == "noeviction" {
		r = found(r, health.Unhealthy, health.CauseThreshold, "it has used all of maxmemory and may not evict (noeviction): writes that need memory fail")
	}
	return r
}

func (p *Prober) judgeClients(r health.Result, in info) health.Result {
	r, clients, ok := plain(r, in, "connected_clients", "connected_clients", health.Count)
	r, most, okMost := plain(r, in, "maxclients", "maxclients", health.Count)
	switch {
	case !ok:
		return missing(r, p.cfg.Clients, "connected_clients")
	case !okMost || most <= 0:
		return missing(r, p.cfg.Clients, "maxclients")
	}
	// Connections of replicas and of the cluster bus count against maxclients,
	// and are not in connected_clients.
	for _, name := range [...]string{"connected_slaves", "cluster_connections"} {
		if n, ok := in.number(name); ok {
			clients += n
		}
	}
	return p.cfg.Clients.Apply(r, health.Measurement{Name: "clients_used", Value: percent(clients, most), Unit: health.Percent})
}

// judgePersistence looks at the outcome of the last snapshot and of the last
// writes to the append-only file. A server that persists nothing says ok.
func judgePersistence(r health.Result, in info) health.Result {
	for _, f := range [...]struct{ name, meaning string }{
		{"rdb_last_bgsave_status", "the last snapshot (RDB) failed"},
		{"aof_last_write_status", "the last write to the append-only file (AOF) failed"},
		{"aof_last_bgrewrite_status", "the last rewriting of the append-only file (AOF) failed"},
	} {
		if s, ok := in[f.name]; ok && s != "ok" {
			r = found(r, health.Degraded, CausePersistence, "%s", f.meaning)
		}
	}
	return r
}

func (p *Prober) judgeRole(r health.Result, in info) health.Result {
	role := Role(in.word("role"))
	if role == "slave" { // the word of INFO
		role = Replica
	}
	if role != "" {
		r = netcheck.With(r, health.Measurement{Name: "role", Text: string(role)})
	}
	if want := p.cfg.Role; want != "" && role != want {
		if role == "" {
			r = found(r, health.Degraded, health.CauseMissing, "INFO has no role, want %s", want)
		} else {
			r = found(r, health.Unhealthy, health.CauseAssertion, "it is %s, want %s", role, want)
		}
	}
	switch role {
	case Master:
		return p.judgeMaster(r, in)
	case Replica:
		return p.judgeReplica(r, in)
	}
	return r
}

func (p *Prober) judgeMaster(r health.Result, in info) health.Result {
	var online, lag float64
	head, ok := in.number("master_repl_offset")
	for _, replica := range in.replicas() {
		if !replica.online {
			continue
		}
		online++
		if replica.known {
			lag = max(lag, head-replica.offset)
		}
	}
	r = p.cfg.Replicas.Apply(r, health.Measurement{Name: "replicas_online", Value: online})
	if ok && online > 0 {
		r = p.cfg.Lag.Apply(r, health.Measurement{Name: "replication_lag", Value: lag, Unit: health.Bytes})
	}
	return r
}

func (p *Prober) judgeReplica(r health.Result, in info) health.Result {
	r = text(r, in, "master_link_status")
	if status, ok := in["master_link_status"]; ok && status != "up" {
		detail := ""
		if down, ok := in.number("master_link_down_since_seconds"); ok && down >= 0 {
			detail = fmt.Sprintf(" since %.0f s", down)
		}
		if in["master_sync_in_progress"] == "1" {
			detail += ", a full copy is under way"
		}
		r = found(r, health.Degraded, CauseReplication, "its link to the master is down%s", detail)
	}
	received, ok1 := in.number("slave_read_repl_offset") // since Redis 7.0
	applied, ok2 := in.number("slave_repl_offset")
	if !ok1 || !ok2 {
		return missing(r, p.cfg.Lag, "slave_read_repl_offset")
	}
	return p.cfg.Lag.Apply(r, health.Measurement{Name: "replication_lag", Value: max(0, received-applied), Unit: health.Bytes})
}

// counters are the values of INFO that only grow while a server runs.
type counters struct {
	asked time.Time // when INFO was sent; zero: never
	run   string    // run_id: one life of one server
	// evicted and rejected are negative if INFO has no such number.
	evicted, rejected float64
}

// judgeCounters measures the counters, and by how much they grew.
func (p *Prober) judgeCounters(r health.Result, in info, asked time.Time) health.Result {
	now := counters{asked: asked, run: in["run_id"], evicted: -1, rejected: -1}
	if r2, n, ok := plain(r, in, "evicted_keys", "evicted_keys", health.Count); ok {
		r, now.evicted = r2, n
	}
	if r2, n, ok := plain(r, in, "rejected_connections", "rejected_connections", health.Count); ok {
		r, now.rejected = r2, n
	}
	last, ok := p.swap(now)
	for _, c := range [...]struct {
		name      string
		was, is   float64
		increases health.Limit
	}{
		{"evicted_keys", last.evicted, now.evicted, p.cfg.Evictions},
		{"rejected_connections", last.rejected, now.rejected, p.cfg.Rejections},
	} {
		switch {
		case c.is < 0:
			r = missing(r, c.increases, c.name)
		case ok && c.was >= 0 && c.is >= c.was: // less: CONFIG RESETSTAT
			r = c.increases.Apply(r, health.Measurement{Name: c.name + "_new", Value: c.is - c.was})
		}
	}
	return r
}

// swap keeps now for the next probe, and returns the counters of the previous
// one if they can be compared. Of probes that overlap, one that asked before
// the other counts nothing, so that no increase is counted twice.
func (p *Prober) swap(now counters) (last counters, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last = p.last
	if !last.asked.IsZero() && now.asked.Before(last.asked) {
		return last, false
	}
	p.last = now
	return last, !last.asked.IsZero() && last.run == now.run
}

// plain adds a number of INFO as a measurement, if it is there.
func plain(r health.Result, in info, field, name string, unit health.Unit) (_ health.Result, n float64, ok bool) {
	n, ok = in.number(field)
	if ok {
		r = netcheck.With(r, health.Measurement{Name: name, Value: n, Unit: unit})
	}
	return r, n, ok
}

// text adds a value of INFO that is not a number, if it is there.
func text(r health.Result, in info, name string) health.Result {
	if s := in.word(name); s != "" {
		r = netcheck.With(r, health.Measurement{Name: name, Text: s})
	}
	return r
}

// percent returns how many percent of most n is, to a tenth.
func percent(n, most float64) float64 {
	return math.Round(n/most*1000) / 10
}
