package redisprobe_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/redisprobe"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		info    string
		cfg     redisprobe.Config
		status  health.Status
		cause   health.Cause
		message string
	}{
		"master":  {info: infoText(t, "master"), status: health.Healthy},
		"replica": {info: infoText(t, "replica"), cfg: redisprobe.Config{Role: redisprobe.Replica, Lag: limit(0, 1)}, status: health.Healthy},
		"loading": {
			info:   infoText(t, "loading"),
			status: health.Unhealthy, cause: redisprobe.CauseStarting, message: "it is still loading its data from disk, 4 % done, about 65 s left",
		},
		"memory near its limit": {
			info: infoText(t, "master", "used_memory:1059288", "used_memory:99000000"), cfg: redisprobe.Config{Memory: limit(90, 98)},
			status: health.Degraded, cause: health.CauseThreshold, message: "memory_used 94.4 %, more than 90",
		},
		"memory full of what is not counted": {
			info: infoText(t, "master", "used_memory:1059288", "used_memory:106000000", "mem_not_counted_for_evict:0", "mem_not_counted_for_evict:20000000"),
			cfg:  redisprobe.Config{Memory: limit(90, 98)}, status: health.Healthy,
		},
		"memory full, noeviction": {
			info:   infoText(t, "master", "used_memory:1059288", "used_memory:104857601"),
			status: health.Unhealthy, cause: health.CauseThreshold, message: "it has used all of maxmemory and may not evict (noeviction): writes that need memory fail",
		},
		"memory full, evicts": {
			info:   infoText(t, "master", "used_memory:1059288", "used_memory:104857601", "maxmemory_policy:noeviction", "maxmemory_policy:allkeys-lru"),
			status: health.Healthy,
		},
		"memory without limit": {
			info: infoText(t, "master", "maxmemory:104857600", "maxmemory:0"), cfg: redisprobe.Config{Memory: limit(0.1, 0.2)},
			status: health.Healthy,
		},
		"memory of a container": {
			info: infoText(t, "master", "maxmemory:104857600", "maxmemory:0"), cfg: redisprobe.Config{Memory: limit(50, 90), MaxMemory: 2 << 20},
			status: health.Degraded, cause: health.CauseThreshold, message: "memory_used 50.5 %, more than 50",
		},
		"memory not told": {
			info: "redis_version:1\r\n", cfg: redisprobe.Config{Memory: limit(50, 90)},
			status: health.Degraded, cause: health.CauseMissing, message: "INFO has no number used_memory, for which there is a limit",
		},
		"clients": {
			info: infoText(t, "master", "connected_clients:1", "connected_clients:9499"), cfg: redisprobe.Config{Clients: limit(80, 95)},
			status: health.Degraded, cause: health.CauseThreshold, message: "clients_used 95 %, more than 80",
		},
		"clients before there was maxclients": {
			info: infoText(t, "master", "maxclients:10000", "x:1"), cfg: redisprobe.Config{Clients: limit(80, 95)},
			status: health.Degraded, cause: health.CauseMissing, message: "INFO has no number maxclients, for which there is a limit",
		},
		"wrong role": {
			info: infoText(t, "replica"), cfg: redisprobe.Config{Role: redisprobe.Master},
			status: health.Unhealthy, cause: health.CauseAssertion, message: "it is replica, want master",
		},
		"no role": {
			info: "redis_version:1\r\n", cfg: redisprobe.Config{Role: redisprobe.Master},
			status: health.Degraded, cause: health.CauseMissing, message: "INFO has no role, want master",
		},
		"link down": {
			info:   infoText(t, "replica-link-down"),
			status: health.Degraded, cause: redisprobe.CauseReplication, message: "its link to the master is down since 2 s",
		},
		"link down, copying": {
			info:   infoText(t, "replica-link-down", "master_sync_in_progress:0", "master_sync_in_progress:1", "master_link_down_since_seconds:2", "master_link_down_since_seconds:-1"),
			status: health.Degraded, cause: redisprobe.CauseReplication, message: "its link to the master is down, a full copy is under way",
		},
		"replica applies slowly": {
			info: infoText(t, "replica", "slave_read_repl_offset:58", "slave_read_repl_offset:5058"), cfg: redisprobe.Config{Lag: limit(1000, 10000)},
			status: health.Degraded, cause: health.CauseThreshold, message: "replication_lag 5000 bytes, more than 1000",
		},
		"replica before Redis 7": {
			info: infoText(t, "replica", "slave_read_repl_offset:58", "x:58"), cfg: redisprobe.Config{Lag: limit(1000, 10000)},
			status: health.Degraded, cause: health.CauseMissing, message: "INFO has no number slave_read_repl_offset, for which there is a limit",
		},
		"replica of this master is behind": {
			info: infoText(t, "master", "master_repl_offset:58", "master_repl_offset:200058"), cfg: redisprobe.Config{Lag: limit(1000, 10000)},
			status: health.Unhealthy, cause: health.CauseThreshold, message: "replication_lag 200000 bytes, more than 10000",
		},
		"too few replicas": {
			info: infoText(t, "master"), cfg: redisprobe.Config{Replicas: health.Limit{Warn: new(2.0), Below: true}},
			status: health.Degraded, cause: health.CauseThreshold, message: "replicas_online 1, less than 2",
		},
		"snapshot failed": {
			info:   infoText(t, "master", "rdb_last_bgsave_status:ok", "rdb_last_bgsave_status:err"),
			status: health.Degraded, cause: redisprobe.CausePersistence, message: "the last snapshot (RDB) failed",
		},
		"append-only file fails": {
			info:   infoText(t, "master", "aof_last_write_status:ok", "aof_last_write_status:err", "aof_last_bgrewrite_status:ok", "aof_last_bgrewrite_status:err"),
			status: health.Degraded, cause: redisprobe.CausePersistence,
			message: "the last write to the append-only file (AOF) failed; the last rewriting of the append-only file (AOF) failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := prober(t, "127.0.0.1:1", tc.cfg).JudgeText(tc.info)
			assert.Equal(t, tc.status, r.Status, r.Message)
			assert.Equal(t, tc.cause, r.Cause)
			assert.Equal(t, tc.message, r.Message)
		})
	}
}

// TestJudge_measurements shows everything that is read from a real answer.
//
// Requirement: HL-WANT-5
func TestJudge_measurements(t *testing.T) {
	t.Parallel()
	p := prober(t, "127.0.0.1:1", redisprobe.Config{})
	assert.Empty(t, cmp.Diff([]health.Measurement{
		{Name: "role", Text: "master"},
		{Name: "replicas_online", Value: 1},
		{Name: "replication_lag", Value: 0, Unit: health.Bytes},
		{Name: "used_memory", Value: 1059288, Unit: health.Bytes},
		{Name: "maxmemory", Value: 104857600, Unit: health.Bytes},
		{Name: "system_memory", Value: 25276063744, Unit: health.Bytes},
		{Name: "maxmemory_policy", Text: "noeviction"},
		{Name: "memory_used", Value: 1, Unit: health.Percent},
		{Name: "connected_clients", Value: 1},
		{Name: "maxclients", Value: 10000},
		{Name: "clients_used", Value: 0, Unit: health.Percent},
		{Name: "evicted_keys", Value: 0},
		{Name: "rejected_connections", Value: 0},
		{Name: "redis_version", Text: "7.0.15"},
		{Name: "uptime", Value: 8, Unit: health.Seconds},
	}, p.JudgeText(infoText(t, "master")).Measurements))
}

func TestJudge_counters(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	p := prober(t, "127.0.0.1:1", redisprobe.Config{Evictions: limit(10, 100), Rejections: limit(0, 5)})
	judge := func(after time.Duration, changes ...string) health.Result {
		return p.JudgeTextAsked(infoText(t, "master", changes...), now.Add(after))
	}
	increase := func(r health.Result, name string) any {
		m, ok := r.Measurement(name + "_new")
		if !ok {
			return nil
		}
		return m.Value
	}

	r := judge(0, "evicted_keys:0", "evicted_keys:5000", "rejected_connections:0", "rejected_connections:9")
	assert.Equal(t, health.Healthy, r.Status, "the first probe knows no increase")
	assert.InDelta(t, 5000, value(t, r, "evicted_keys"), 0)
	assert.Nil(t, increase(r, "evicted_keys"))

	r = judge(time.Minute, "evicted_keys:0", "evicted_keys:5011", "rejected_connections:0", "rejected_connections:9")
	assert.Equal(t, "evicted_keys_new 11, more than 10", r.Message)
	assert.Equal(t, health.Degraded, r.Status)
	assert.Equal(t, 0.0, increase(r, "rejected_connections"))

	r = judge(30*time.Second, "evicted_keys:0", "evicted_keys:5006", "rejected_connections:0", "rejected_connections:9")
	assert.Nil(t, increase(r, "evicted_keys"), "an answer that comes late, asked before the one already counted")

	r = judge(2*time.Minute, "evicted_keys:0", "evicted_keys:5012", "rejected_connections:0", "rejected_connections:15")
	assert.Equal(t, 1.0, increase(r, "evicted_keys"), "nothing is counted twice")
	assert.Equal(t, "rejected_connections_new 6, more than 5", r.Message)

	r = judge(3 * time.Minute)
	assert.Nil(t, increase(r, "evicted_keys"), "CONFIG RESETSTAT")
	r = judge(4*time.Minute, "evicted_keys:0", "evicted_keys:3")
	assert.Equal(t, 3.0, increase(r, "evicted_keys"))

	r = judge(5*time.Minute, "run_id:55d3227937c41410aa27cced5d71f682cb56fae6", "run_id:another", "evicted_keys:0", "evicted_keys:900")
	assert.Nil(t, increase(r, "evicted_keys"), "the server was started anew")

	r = judge(6*time.Minute, "run_id:55d3227937c41410aa27cced5d71f682cb56fae6", "run_id:another", "evicted_keys:0", "x:0")
	assert.Equal(t, health.CauseMissing, r.Cause)
	assert.Equal(t, "INFO has no number evicted_keys, for which there is a limit", r.Message)
}
