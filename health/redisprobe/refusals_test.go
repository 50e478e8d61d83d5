package redisprobe_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/redisprobe"
)

// TestProbe_refusals goes through the error answers that Redis documents and
// its source has, word for word.
func TestProbe_refusals(t *testing.T) {
	t.Parallel()
	master := bulk(infoText(t, "master"))
	for name, tc := range map[string]struct {
		answers map[string]string
		cfg     redisprobe.Config
		opt     redis.Options
		status  health.Status
		cause   health.Cause
		message string // a part
	}{
		"no password": {
			answers: map[string]string{
				"HELLO": "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n",
				"PING":  "-NOAUTH Authentication required.\r\n",
			},
			cause: health.CauseUnauthorized, message: "PING: it wants a password, and was given none",
		},
		"no password, and another database": {
			answers: map[string]string{"HELLO": "-NOAUTH Authentication required.\r\n", "SELECT": "-NOAUTH Authentication required.\r\n"},
			opt:     redis.Options{DB: 3},
			cause:   health.CauseUnauthorized, message: "login: it wants a password, and was given none",
		},
		"wrong password": {
			answers: map[string]string{
				"HELLO": "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
				"AUTH":  "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
			},
			opt:   redis.Options{Password: password},
			cause: health.CauseUnauthorized, message: "login: it does not accept the user name and password",
		},
		"wrong password before Redis 6": {
			answers: map[string]string{
				"HELLO": "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `" + password + "`, \r\n",
				"AUTH":  "-ERR invalid password\r\n",
			},
			opt:   redis.Options{Password: password},
			cause: health.CauseUnauthorized, message: "login: it does not accept the password",
		},
		"a password, and none is set": {
			answers: map[string]string{
				"HELLO": "-ERR unknown command `HELLO`\r\n",
				"AUTH":  "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
			},
			opt:   redis.Options{Password: password},
			cause: health.CauseUnauthorized, message: "it was given a password, and has none",
		},
		"an answer that repeats the password": {
			answers: map[string]string{
				"HELLO": "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `" + password + "`, \r\n",
				"AUTH":  "-ERR unknown command `AUTH`, with args beginning with: `" + password + "`, \r\n",
			},
			opt:   redis.Options{Password: password},
			cause: health.CauseFailed, message: "login: it answered with an error",
		},
		"protected mode": {
			answers: map[string]string{"HELLO": "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user.\r\n", "PING": hangUp},
			cause:   health.CauseUnauthorized, message: "protected mode",
		},
		"too many clients": {
			answers: map[string]string{"HELLO": "-ERR max number of clients reached\r\n", "PING": hangUp},
			cause:   redisprobe.CauseConnections, message: "it has as many clients as it may (maxclients)",
		},
		"too many clients, and a password": {
			answers: map[string]string{"HELLO": "-ERR max number of clients reached\r\n", "AUTH": hangUp},
			opt:     redis.Options{Password: password},
			cause:   redisprobe.CauseConnections, message: "it has as many clients as it may (maxclients)",
		},
		"user may not PING": {
			answers: map[string]string{"PING": "-NOPERM User probe has no permissions to run the 'ping' command\r\n"},
			cause:   health.CauseUnauthorized, message: "PING: this user may not do that",
		},
		"user may not INFO": {
			answers: map[string]string{"INFO": "-NOPERM User probe has no permissions to run the 'info' command\r\n"},
			status:  health.Degraded, cause: health.CauseUnauthorized, message: "INFO: this user may not do that",
		},
		"loading": {
			answers: map[string]string{"PING": "-LOADING Redis is loading the dataset in memory\r\n", "INFO": bulk(infoText(t, "loading"))},
			cause:   redisprobe.CauseStarting, message: "it is still loading its data from disk, 4 % done, about 65 s left",
		},
		"loading, without INFO": {
			answers: map[string]string{"PING": "-LOADING Redis is loading the dataset in memory\r\n"},
			cfg:     redisprobe.Config{NoInfo: true},
			cause:   redisprobe.CauseStarting, message: "PING: it is still loading its data from disk",
		},
		"a script runs": {
			answers: map[string]string{"PING": "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n", "INFO": "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"},
			cause:   redisprobe.CauseBusy, message: "PING: it is busy with a script that runs too long",
		},
		"failed snapshot stops writes": {
			answers: map[string]string{
				"PING": "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.\r\n",
				"INFO": bulk(infoText(t, "master", "rdb_last_bgsave_status:ok", "rdb_last_bgsave_status:err")),
			},
			cause: redisprobe.CausePersistence, message: "the last snapshot (RDB) failed",
		},
		"link to the master is down": {
			answers: map[string]string{"PING": "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n", "INFO": bulk(infoText(t, "replica-link-down"))},
			cause:   redisprobe.CauseReplication, message: "its link to the master is down",
		},
		"no memory left": {
			answers: map[string]string{"INFO": master, "SET": "-OOM command not allowed when used memory > 'maxmemory'.\r\n"},
			cfg:     redisprobe.Config{Write: true},
			cause:   health.CauseThreshold, message: "SET: it has used all of maxmemory",
		},
		"write to a replica": {
			answers: map[string]string{"INFO": master, "SET": "-READONLY You can't write against a read only replica.\r\n"},
			cfg:     redisprobe.Config{Write: true},
			cause:   redisprobe.CauseReadOnly, message: "SET: it is a replica and takes no writes",
		},
		"too few replicas": {
			answers: map[string]string{"INFO": master, "SET": "-NOREPLICAS Not enough good replicas to write.\r\n"},
			cfg:     redisprobe.Config{Write: true},
			cause:   redisprobe.CauseReplication, message: "min-replicas-to-write",
		},
		"another node's key": {
			answers: map[string]string{"INFO": master, "SET": "-MOVED 3999 127.0.0.1:6381\r\n"},
			cfg:     redisprobe.Config{Write: true},
			cause:   health.CauseFailed, message: "another node of the cluster",
		},
		"unknown refusal": {
			answers: map[string]string{"INFO": master, "SET": "-TRYAGAIN Multiple keys\x1b[2J request during rehashing of slot\r\n"},
			cfg:     redisprobe.Config{Write: true},
			cause:   health.CauseFailed, message: `SET: it answered "TRYAGAIN Multiple keys[2J request`,
		},
		"lost write": {
			answers: map[string]string{"INFO": master, "SET": "+OK\r\n", "GET": "_\r\n", "DEL": ":0\r\n"},
			cfg:     redisprobe.Config{Write: true},
			cause:   health.CauseMissing, message: "GET: the key just written is not there",
		},
		"changed write": {
			answers: map[string]string{"INFO": master, "SET": "+OK\r\n", "GET": "$1\r\nx\r\n", "DEL": ":1\r\n"},
			cfg:     redisprobe.Config{Write: true},
			cause:   health.CauseAssertion, message: "GET: the key just written has another value",
		},
		"key exists": {
			answers: map[string]string{"INFO": master, "SET": "_\r\n"},
			cfg:     redisprobe.Config{Write: true},
			cause:   health.CauseAssertion, message: "exists already",
		},
		"may not delete": {
			answers: map[string]string{"INFO": master, "SET": "+OK\r\n", "GET": "$1\r\nx\r\n", "DEL": "-NOPERM User probe has no permissions to run the 'del' command\r\n"},
			cfg:     redisprobe.Config{Write: true},
			cause:   health.CauseAssertion, message: "DEL: this user may not do that",
		},
		"no Redis":        {answers: map[string]string{"HELLO": "HTTP/1.1 400 Bad Request\r\n\r\n"}, cause: health.CauseProtocol, message: "login: the answer is not in Redis's protocol"},
		"breaks off":      {answers: map[string]string{"HELLO": hangUp}, cause: health.CauseConnection, message: "the connection broke during login"},
		"breaks off ping": {answers: map[string]string{"PING": hangUp}, cause: health.CauseConnection, message: "the connection broke during PING"},
		"half an answer":  {answers: map[string]string{"INFO": "$500\r\nrole:master\r\n" + hangUp}, cause: health.CauseTimeout, message: "during INFO"},
		"no PONG":         {answers: map[string]string{"PING": "+OK\r\n"}, cause: health.CauseProtocol, message: "the answer is not PONG"},
		"nonsense":        {answers: map[string]string{"INFO": "$x\r\n"}, cause: health.CauseProtocol, message: "INFO: the answer breaks Redis's protocol"},
		"empty INFO":      {answers: map[string]string{"INFO": ":1\r\n"}, status: health.Degraded, cause: health.CauseProtocol, message: "its answer to INFO has no fields"},
		"endless":         {answers: map[string]string{"INFO": "+" + strings.Repeat("a", 2<<20)}, cause: health.CauseTooLarge, message: "larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tc.answers)
			tc.opt.Addr = s.addr
			tc.cfg.Client = client(t, tc.opt)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r := prober(t, s.addr, tc.cfg).Probe(ctx)
			if tc.status == health.Unknown {
				tc.status = health.Unhealthy
			}
			assert.Equal(t, tc.status, r.Status, "%+v", r)
			assert.Equal(t, tc.cause, r.Cause, "%+v", r)
			assert.Contains(t, r.Message, tc.message)
			assert.Contains(t, r.Message, "Redis "+s.addr+": ")
			assert.NotContains(t, r.Message, password)
			assert.NotContains(t, r.Message, "\x1b")
			assert.Equal(t, 1, s.connections(), "one attempt")
			for i, c := range s.seen() {
				assert.NotContains(t, s.seen()[:i], c, "one attempt")
			}
		})
	}
}
