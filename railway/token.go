package railway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/railway/internal/gql"
)

// A Named is something that Railway has, by its ID and the name that people gave it.
type Named struct {
	// ID is what Railway calls it, Name what people do.
	ID, Name string
}

// TokenInfo says what a token is.
type TokenInfo struct {
	// Kind is its kind, that of the [Config].
	Kind TokenKind
	// Workspaces are those it can see; of a project token none.
	Workspaces []Named
	// Project and Environment are those of a project token.
	Project, Environment Named
}

// CheckToken asks Railway who the token is, by the query that fits its kind. If it
// is refused, the Diagnosis of the [*Error] says whether the token is dead or of
// another kind.
func (c *Client) CheckToken(ctx context.Context) (TokenInfo, error) {
	info, err := c.checkToken(ctx, c.kind)
	if errors.Is(err, ErrNotAuthorized) {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Diagnosis = c.diagnose(ctx)
		}
	}
	return info, err
}

// checkToken asks as if the token were of a kind.
func (c *Client) checkToken(ctx context.Context, kind TokenKind) (TokenInfo, error) {
	o := c.op("check the %s token", string(kind))
	o.plain, o.kind = true, kind
	info := TokenInfo{Kind: kind}
	if kind == ProjectToken {
		got, err := gql.TokenProject(ctx, o)
		if err != nil {
			return TokenInfo{}, err
		}
		t := got.ProjectToken
		info.Project = Named{t.Project.Id, t.Project.Name}
		info.Environment = Named{t.Environment.Id, t.Environment.Name}
		return info, nil
	}
	if kind == AccountToken {
		// Only an account has a user; a workspace's token is not authorized to ask.
		if _, err := gql.Me(ctx, o); err != nil {
			return TokenInfo{}, err
		}
	}
	got, err := gql.TokenWorkspaces(ctx, o)
	if err != nil {
		return TokenInfo{}, err
	}
	for _, w := range got.ApiToken.Workspaces {
		info.Workspaces = append(info.Workspaces, Named{w.Id, w.Name})
	}
	return info, nil
}

// diagnosisLife is for how long a diagnosis is believed, so that a token that died
// does not cost three more calls with each one.
const diagnosisLife = time.Minute

// diagnosis is the last one. It belongs to who has put something into turn, so that
// many calls that are refused at the same time cost one.
type diagnosis struct {
	turn chan struct{}
	at   time.Time
	text string
}

// diagnose says what "Not Authorized" means.
func (c *Client) diagnose(ctx context.Context) string {
	select {
	case c.diagnosed.turn <- struct{}{}:
		defer func() { <-c.diagnosed.turn }()
	case <-ctx.Done():
		return ""
	}
	if c.diagnosed.text != "" && time.Since(c.diagnosed.at) < diagnosisLife {
		return c.diagnosed.text
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	text, known := c.tokenTrouble(ctx)
	if known {
		c.diagnosed.at, c.diagnosed.text = time.Now(), text
	}
	return text
}

func (c *Client) tokenTrouble(ctx context.Context) (text string, known bool) {
	info, err := c.checkToken(ctx, c.kind)
	switch {
	case err == nil && c.kind == ProjectToken:
		return fmt.Sprintf("the token is valid, for environment %q of project %q only: what was asked for is elsewhere, needs another kind of token, or does not exist",
			info.Environment.Name, info.Project.Name), true
	case err == nil:
		return fmt.Sprintf("the token is valid, of the kind %s: it has no right to that, the environment is restricted, or there is no such thing", c.kind), true
	case !errors.Is(err, ErrNotAuthorized):
		return "whether the token is valid could not be found out", false
	}
	for _, kind := range []TokenKind{AccountToken, WorkspaceToken, ProjectToken} {
		if kind == c.kind {
			continue
		}
		_, err := c.checkToken(ctx, kind)
		if err == nil {
			return fmt.Sprintf("the token is valid, but its kind is %s and not %s: correct the kind in the configuration", kind, c.kind), true
		}
		if !errors.Is(err, ErrNotAuthorized) {
			return "whether the token is valid could not be found out", false
		}
	}
	return fmt.Sprintf("the token is not valid: it was deleted, or is mistyped; make a new one in the settings of the %s", c.kind), true
}
