package sqlprobe

import (
	"context"
	"fmt"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// readReplication measures the lag from the side on which the server is.
func readReplication(replicas int) reading {
	return func(d Diagnostic) reader {
		return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
			var recovery bool
			if err := q.QueryRowContext(ctx, "SELECT pg_is_in_recovery()").Scan(&recovery); err != nil {
				return r, err
			}
			if recovery {
				return replicaLag(ctx, q, r, d)
			}
			return primaryLag(ctx, q, r, d, replicas)
		}
	}
}

// replicaLag measures how far this replica is behind what it received. While it
// receives, having replayed everything is no lag; while it does not, nobody
// knows what it has missed, and the age of the last transaction counts.
func replicaLag(ctx context.Context, q querier, r health.Result, d Diagnostic) (health.Result, error) {
	var receiving, replayed, paused bool
	var age *float64 // NULL if nothing was replayed since the server started
	var bytes float64
	err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_stat_wal_receiver),
		COALESCE(pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn(), false), pg_is_wal_replay_paused(),
		extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8,
		COALESCE(greatest(0, pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())), 0)::float8`).
		Scan(&receiving, &replayed, &paused, &age, &bytes)
	if err != nil {
		return r, err
	}
	r = netcheck.With(r, health.Measurement{Name: "replication_lag_bytes", Value: bytes, Unit: health.Bytes})
	detail := ""
	if paused {
		detail = "replay is paused"
	}
	if !receiving {
		r = r.Worsen(health.Degraded, CauseReplication, "the replica receives nothing from its primary")
		detail = "that is the age of the last transaction that came"
	}
	switch {
	case receiving && replayed:
		age = new(float64)
	case age == nil:
		return noted(r, "replication_lag", "the replica has replayed no transaction since it started", d.Required), nil
	}
	return limited(r, d.Limit, health.Measurement{Name: "replication_lag", Value: round(max(0, *age)), Unit: health.Seconds}, detail), nil
}

// primaryLag measures the replica that is furthest behind. A replica that has
// caught up and an idle primary have no lag (NULL).
func primaryLag(ctx context.Context, q querier, r health.Result, d Diagnostic, want int) (health.Result, error) {
	var replicas, hidden int
	var lag, bytes float64
	err := q.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE state = 'streaming'), count(*) FILTER (WHERE state IS NULL),
		COALESCE(max(extract(epoch FROM replay_lag)), 0)::float8,
		COALESCE(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::float8
		FROM pg_stat_replication`).Scan(&replicas, &hidden, &lag, &bytes)
	if err != nil {
		return r, err
	}
	if hidden > 0 {
		return r, unreadable{"the state of replicas is hidden from this role, which is not a member of pg_read_all_stats"}
	}
	r = netcheck.With(r, health.Measurement{Name: "replicas", Value: float64(replicas)})
	if replicas < want {
		r = r.Worsen(health.Degraded, health.CauseMissing, fmt.Sprintf("%d replicas are connected, want %d", replicas, want))
	}
	if replicas == 0 {
		return r, nil
	}
	r = netcheck.With(r, health.Measurement{Name: "replication_lag_bytes", Value: bytes, Unit: health.Bytes})
	return d.Limit.Apply(r, health.Measurement{Name: "replication_lag", Value: round(lag), Unit: health.Seconds}), nil
}
