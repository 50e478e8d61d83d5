package pgdump

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Plan is what a restore would do. It can be kept as JSON while a person decides:
// what counts is Digest, and Restore refuses a plan that was edited.
type Plan struct {
	// Digest is a hash of the dump, of the target, and of what is to be done.
	Digest string `json:"digest"`
	// ConfirmedBy is who has read what is destroyed, and wants it. Restore needs
	// it if the target is not empty. It is not part of Digest.
	ConfirmedBy string `json:"confirmed_by"`
	// Dump is what is restored.
	Dump Contents `json:"dump"`
	// Target is what it is restored into.
	Target Target `json:"target"`
	// Destroys says in a line each what the target has and will lose: the tables
	// that are dropped and made again, and whatever else the dump makes again.
	Destroys []string `json:"destroys"`
	// Keeps are the tables of the target that the dump does not have, which stay
	// as they are. If one of them depends on something that is dropped, the
	// restore fails and changes nothing.
	Keeps []TableName `json:"keeps"`
	// Statements are what pg_restore will remove things with, in its own words,
	// before it makes them again. Each is without effect if the thing is not
	// there. None are used if the target is empty.
	Statements []string `json:"statements"`
	// SkipOwners is as in [Config].
	SkipOwners bool `json:"skip_owners"`
}

// PlanRestore verifies a dump, looks at the target, and says what a restore would
// do. It changes nothing. The dump is read from where dump stands to its end.
//
// The errors are those of [Dumper.Verify], and [ErrElsewhere].
func (d *Dumper) PlanRestore(ctx context.Context, dump io.Reader, receipt *Receipt) (Plan, error) {
	plan, err := d.planRestore(ctx, dump, receipt)
	return plan, finish("plan restore", true, err)
}

func (d *Dumper) planRestore(ctx context.Context, dump io.Reader, receipt *Receipt) (Plan, error) {
	if err := d.can(true, true, false, true); err != nil {
		return Plan{}, err
	}
	target, err := d.look(ctx, d.cfg.DB, d.proveSame(ctx))
	if err != nil {
		return Plan{}, err
	}
	contents, schema, err := d.verify(ctx, "plan restore", dump, receipt)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Dump: contents, Target: target, SkipOwners: d.cfg.SkipOwners}
	if !target.Empty() {
		plan.Statements = schema.drops
	}
	dropped := schema.dropped()
	for _, table := range target.Tables {
		if dropped[table.TableName] == "" {
			plan.Keeps = append(plan.Keeps, table.TableName)
			continue
		}
		plan.Destroys = append(plan.Destroys, fmt.Sprintf("%s %s: %s rows, %d bytes", table.Kind, table.TableName, estimate(table.Rows), table.Bytes))
	}
	if n := len(target.Others); n > 0 {
		plan.Destroys = append(plan.Destroys, fmt.Sprintf("what the dump makes again of %d other things: see Statements and Target.Others", n))
	}
	plan.Digest = plan.digest(target.activity)
	return plan, nil
}

func estimate(rows int64) string {
	if rows < 0 {
		return "an unknown number of"
	}
	return "about " + strconv.FormatInt(rows, 10)
}

// digest is the plan's hash, for a target as it is.
func (p *Plan) digest(target string) string {
	h := sha256.New()
	note(h, target, p.Target.Database, p.Target.ServerVersion, p.Dump.CipherSHA256, p.Dump.PlainSHA256, strconv.FormatInt(p.Dump.PlainBytes, 10), strconv.FormatBool(p.SkipOwners))
	note(h, strconv.Itoa(len(p.Destroys)))
	note(h, p.Destroys...)
	note(h, strconv.Itoa(len(p.Statements)))
	note(h, p.Statements...)
	for _, name := range p.Keeps {
		note(h, name.Schema, name.Name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// same reports whether the plan is the one that would be made now.
func (p *Plan) same(now Target) bool {
	return p.Digest == p.digest(now.activity) && p.Target.Database == now.Database && p.Target.ServerVersion == now.ServerVersion &&
		len(p.Target.Tables) == len(now.Tables) && slices.Equal(p.Target.Others, now.Others)
}
