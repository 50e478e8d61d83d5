package dynreg_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.acu.edu.au/runbook/lti/dynreg"
)

// BenchmarkWithoutInvitation is what anybody can make the handler do: a page that
// says no. Target: under 100 µs, and nobody is called. forged is an invitation whose
// MAC is wrong.
func BenchmarkWithoutInvitation(b *testing.B) {
	p := &platform{document: moodleDocument()}
	d := newDesk(b, p, func(c *dynreg.Config) { c.Hooks = dynreg.Hooks{} })
	good := d.address(dynreg.Invitation{For: "ACU"}, moodleConfig)
	forged := newDesk(b, p, nil).address(dynreg.Invitation{For: "ACU"}, moodleConfig)
	at := len("https://qa.example.edu/lti/register?invitation=") + 60
	forged = forged[:at] + string('A'+(forged[at]+1)%26) + forged[at+1:]
	for name, address := range map[string]string{"none": "https://qa.example.edu/lti/register?openid_configuration=" + moodleConfig, "forged": forged} {
		b.Run(name, func(b *testing.B) {
			h := d.registrar.Handler()
			r := httptest.NewRequest(http.MethodGet, address, nil)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusForbidden {
					b.Fatal(w.Code)
				}
			}
			if fetches, _ := p.counts(); fetches > 0 {
				b.Fatal("somebody was called")
			}
		})
	}
	b.Run("invite", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.registrar.Invite(dynreg.Invitation{For: "ACU"}); err != nil || good == "" {
				b.Fatal(err)
			}
		}
	})
}
