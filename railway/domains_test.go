package railway_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

func domainsHost(t testing.TB) *opsHost { return newOps(t, railwaytest.Service{Image: "web:1"}) }

// domainKind is how a kind of domain is made and deleted.
type domainKind struct {
	create, remove string
	domain         railway.Domain
}

func domainKinds() map[railway.DomainKind]domainKind {
	return map[railway.DomainKind]domainKind{
		railway.RailwayDomain: {"serviceDomainCreate", "serviceDomainDelete", railway.Domain{Kind: railway.RailwayDomain, Port: 8080}},
		railway.CustomDomain:  {"customDomainCreate", "customDomainDelete", railway.Domain{Kind: railway.CustomDomain, Name: "runbook.example.edu", Port: 8080}},
		railway.TCPProxy:      {"environmentPatchCommit", "tcpProxyDelete", railway.Domain{Kind: railway.TCPProxy, Port: 5432}},
	}
}

func TestDomains(t *testing.T) {
	for kind, k := range domainKinds() {
		t.Run(string(kind), func(t *testing.T) {
			opsBubble(t, func(t *testing.T) {
				h := domainsHost(t)
				made, err := h.svc.CreateDomain(t.Context(), k.domain)
				require.NoError(t, err)
				assert.Equal(t, kind, made.Kind)
				assert.Equal(t, k.domain.Port, made.Port)
				assert.NotEmpty(t, made.ID)
				assert.NotEmpty(t, made.Name)
				assert.NotZero(t, made.PublicPort)
				if kind == railway.CustomDomain {
					assert.Equal(t, k.domain.Name, made.Name)
					assert.False(t, made.Ready, "the DNS does not know of it yet")
					require.Len(t, made.Records, 2)
					assert.Equal(t, "CNAME", made.Records[0].Type)
					assert.Equal(t, "TXT", made.Records[1].Type)
				} else {
					assert.True(t, made.Ready)
				}
				all, err := h.svc.Domains(t.Context())
				require.NoError(t, err)
				require.Len(t, all, 1)
				assert.Equal(t, made, all[0])

				_, err = h.svc.CreateDomain(t.Context(), k.domain)
				require.NoError(t, err)
				want := 1 // the same name, or port, is not made twice
				if kind == railway.RailwayDomain {
					want = 2
				}
				assert.Len(t, h.did(k.create), want)

				require.NoError(t, h.svc.DeleteDomain(t.Context(), made.ID))
				require.ErrorIs(t, h.svc.DeleteDomain(t.Context(), made.ID), incident.ErrNotFound)
				assert.Len(t, h.did(k.remove), 1)
			})
		})
	}
}

func TestCreateDomainUnclear(t *testing.T) {
	for kind, k := range domainKinds() {
		t.Run(string(kind), func(t *testing.T) {
			opsChange(t, k.create, k.create, domainsHost, func(t testing.TB, ctx context.Context, h *opsHost) error {
				made, err := h.svc.CreateDomain(ctx, k.domain)
				if err == nil {
					assert.NotEmpty(t, made.ID)
					assert.Equal(t, kind, made.Kind)
				}
				return err
			})
		})
	}
}

func TestDeleteDomainUnclear(t *testing.T) {
	for kind, k := range domainKinds() {
		t.Run(string(kind), func(t *testing.T) {
			opsChange(t, k.remove, k.remove, domainsHost, func(t testing.TB, ctx context.Context, h *opsHost) error {
				made, err := h.svc.CreateDomain(t.Context(), k.domain)
				require.NoError(t, err)
				err = h.svc.DeleteDomain(ctx, made.ID)
				if err == nil {
					all, err := h.svc.Domains(t.Context())
					require.NoError(t, err)
					assert.Empty(t, all)
				}
				return err
			})
		})
	}
}

// A domain of the same service in another environment is not ours to delete.
func TestDeleteDomainElsewhere(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := domainsHost(t)
		beta, err := h.client.Service(t.Context(), railway.Target{Project: h.project, Environment: h.other, Service: h.service})
		require.NoError(t, err)
		made, err := beta.CreateDomain(t.Context(), railway.Domain{Kind: railway.RailwayDomain})
		require.NoError(t, err)
		err = h.svc.DeleteDomain(t.Context(), made.ID)
		require.ErrorIs(t, err, incident.ErrNotFound)
		assert.True(t, runbook.SafeToRetry(err))
		_, err = h.svc.IssueCertificate(t.Context(), made.ID)
		require.ErrorIs(t, err, incident.ErrNotFound)
		assert.Empty(t, h.did("serviceDomainDelete"))
	})
}

func TestIssueCertificate(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := domainsHost(t)
		made, err := h.svc.CreateDomain(t.Context(), domainKinds()[railway.CustomDomain].domain)
		require.NoError(t, err)
		got, err := h.svc.IssueCertificate(t.Context(), made.ID)
		require.NoError(t, err)
		assert.Equal(t, made.ID, got.ID)
		h.Fail(railwaytest.Fault{Op: "customDomainIssueCertificate", Kind: railwaytest.LoseAnswer})
		_, err = h.svc.IssueCertificate(t.Context(), made.ID)
		require.NoError(t, err, "it is being validated")
		assert.Len(t, h.did("customDomainIssueCertificate"), 2)
		time.Sleep(2 * time.Minute)
		all, err := h.svc.Domains(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "valid", all[0].State)
		assert.True(t, all[0].Ready)
		assert.True(t, all[0].Records[0].OK)

		generated, err := h.svc.CreateDomain(t.Context(), railway.Domain{Kind: railway.RailwayDomain})
		require.NoError(t, err)
		_, err = h.svc.IssueCertificate(t.Context(), generated.ID)
		require.ErrorIs(t, err, incident.ErrNotFound)
	})
}

func TestIssueCertificateDeclined(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := domainsHost(t)
		made, err := h.svc.CreateDomain(t.Context(), domainKinds()[railway.CustomDomain].domain)
		require.NoError(t, err)
		h.answers("customDomainIssueCertificate(", `{"data":{"customDomainIssueCertificate":false}}`)
		_, err = h.svc.IssueCertificate(t.Context(), made.ID)
		require.ErrorContains(t, err, "did not do it")
		require.NotErrorIs(t, err, incident.ErrOutcomeUnknown)
	})
}

func TestCreateDomainInvalid(t *testing.T) {
	h := domainsHost(t)
	calls := len(h.Calls())
	for _, d := range []railway.Domain{
		{},
		{Kind: "other"},
		{Kind: railway.CustomDomain},
		{Kind: railway.CustomDomain, Name: "https://x.example"},
		{Kind: railway.TCPProxy},
		{Kind: railway.RailwayDomain, Port: 70000},
		{Kind: railway.RailwayDomain, Port: -1},
	} {
		_, err := h.svc.CreateDomain(t.Context(), d)
		assert.Error(t, err, "%+v", d)
	}
	assert.Len(t, h.Calls(), calls)
}

// A TCP proxy is made by a commit, past what other people have staged.
func TestTCPProxyLeavesStagedChanges(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := domainsHost(t)
		h.Stage(h.environment, `{"services":{"`+h.service+`":{"deploy":{"startCommand":"later"}}}}`)
		_, err := h.svc.CreateDomain(t.Context(), domainKinds()[railway.TCPProxy].domain)
		require.NoError(t, err)
		assert.Contains(t, h.Staged(h.environment), "later")
		assert.NotContains(t, h.Calls(), "CommitStaged")
	})
}
