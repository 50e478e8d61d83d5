package redisnonce

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Check asks the servers whether they keep what they are given, and returns an
// error that says what to change, for each that does not: one that evicts keys when
// it has no memory left (maxmemory with any maxmemory-policy but noeviction), or
// is too old. One that tells none of that, because its user may not run INFO
// or because it is an imitation, is an error too. Of a cluster all masters are
// asked.
//
// It changes nothing. Call it when the host starts, or from a probe: the
// configuration of a server can change while it runs.
func (s *Store) Check(ctx context.Context) error {
	var err error
	switch client := s.client.(type) {
	case *redis.ClusterClient:
		err = client.ForEachMaster(ctx, checkServer)
	case *redis.Ring:
		err = client.ForEachShard(ctx, checkServer)
	default:
		err = check(ctx, s.client, "the server")
	}
	if err != nil {
		return fmt.Errorf("redisnonce: check: %w", err)
	}
	return nil
}

func checkServer(ctx context.Context, client *redis.Client) error {
	return check(ctx, client, "the server at "+client.Options().Addr)
}

func check(ctx context.Context, client redis.UniversalClient, name string) error {
	text, err := client.Info(ctx).Result()
	if err != nil {
		if reply, ok := errors.AsType[redis.Error](err); ok {
			return fmt.Errorf("%s does not answer INFO, so that it cannot be told whether it evicts nonces: allow its user to run INFO, or see to it that maxmemory-policy is noeviction: %w", name, reply)
		}
		return fmt.Errorf("%s could not be asked: %w", name, err)
	}
	if problems := judge(text); len(problems) > 0 {
		return fmt.Errorf("%s %s", name, strings.Join(problems, "; and it "))
	}
	return nil
}

// judge reads the answer to INFO: lines of a name, a colon and a value
// (redis.io/commands/info). It returns all that is wrong with a server.
func judge(text string) (problems []string) {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			info[name] = value
		}
	}
	if version := info["redis_version"]; version != "" {
		if major, err := strconv.ParseUint(strings.SplitN(version, ".", 2)[0], 10, 16); err == nil && major < 7 {
			problems = append(problems, fmt.Sprintf("is Redis %s: it must be 7.0 or newer, or Valkey", word(version)))
		}
	}
	limit, policy := info["maxmemory"], info["maxmemory_policy"]
	switch {
	case policy == "noeviction" || limit == "0":
	case policy == "" || limit == "":
		problems = append(problems, "does not tell its maxmemory and maxmemory_policy, so that it cannot be told whether it evicts nonces: see to it that maxmemory-policy is noeviction")
	default:
		problems = append(problems, fmt.Sprintf("may evict nonces that are live (maxmemory %s, maxmemory-policy %s), which would let their tokens be used again: set maxmemory-policy to noeviction, or give nonces a server of their own", word(limit), word(policy)))
	}
	return problems
}

// word returns foreign text for people: short, and quoted where that is needed.
func word(s string) string {
	s = s[:min(len(s), 40)]
	if quoted := strconv.QuoteToASCII(s); quoted[1:len(quoted)-1] != s {
		return quoted
	}
	return s
}
