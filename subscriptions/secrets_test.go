package subscriptions

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// secrets returns what a subscription's deliveries are signed with.
func (e *edge) secrets(id string) (plain []string) {
	e.t.Helper()
	var to string
	if err := e.db().QueryRow(context.Background(), "SELECT target_url FROM connector_subscriptions WHERE id = $1", id).Scan(&to); err != nil {
		e.t.Fatal(err)
	}
	secrets, err := openKeys(e.ring(), secretsOf(id, to), e.sealed(id), time.Now())
	if err != nil {
		e.t.Fatal(err)
	}
	for _, secret := range secrets {
		plain = append(plain, secret.Reveal())
	}
	return plain
}

func openKeys(ring *datastore.KeyRing, place, sealed []byte, at time.Time) ([]signature.Secret, error) {
	opened, err := openSealed(ring, place, sealed, at)
	if err != nil {
		return nil, err
	}
	return opened.keys()
}

func sealOne(ring *datastore.KeyRing, place []byte, secret signature.Secret) []byte {
	return (&confidential{Secrets: []storedSecret{{Secret: secret.Reveal()}}}).seal(ring, place)
}

func TestRotatedSecretsExpire(t *testing.T) {
	e := start(t, site)
	ring, now, place := e.ring(), time.Now(), secretsOf("sub_1", target)
	reveal := func(sealed []byte, at time.Time) (plain []string) {
		t.Helper()
		secrets, err := openKeys(ring, place, sealed, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			plain = append(plain, secret.Reveal())
		}
		return plain
	}
	first, second, third := signature.NewSecret(), signature.NewSecret(), signature.NewSecret()
	sealed := sealOne(ring, place, first)
	rotate := func(secret signature.Secret, at time.Time) {
		t.Helper()
		opened, err := openSealed(ring, place, sealed, at)
		if err != nil {
			t.Fatal(err)
		}
		opened.rotate(at, secret)
		sealed = opened.seal(ring, place)
	}
	rotate(second, now)
	rotate(third, now.Add(time.Hour))
	for after, want := range map[time.Duration][]string{
		2 * time.Hour:               {third.Reveal(), second.Reveal(), first.Reveal()},
		24*time.Hour - time.Second:  {third.Reveal(), second.Reveal(), first.Reveal()},
		24*time.Hour + time.Second:  {third.Reveal(), second.Reveal()},
		25*time.Hour + time.Second:  {third.Reveal()},
		100 * 365 * 24 * time.Hour:  {third.Reveal()},
		-100 * 365 * 24 * time.Hour: {third.Reveal(), second.Reveal(), first.Reveal()},
	} {
		if got := reveal(sealed, now.Add(after)); !slices.Equal(got, want) {
			t.Errorf("after %v: %d secrets, want %d", after, len(got), len(want))
		}
	}
	// what has expired goes with the next rotation
	rotate(signature.NewSecret(), now.Add(48*time.Hour))
	if got := reveal(sealed, now); len(got) != 2 {
		t.Errorf("%d secrets are still there", len(got))
	}
}

func TestSecretsBelongToTheirSubscription(t *testing.T) {
	e := start(t, site)
	ring, place := e.ring(), secretsOf("sub_1", target)
	sealed := sealOne(ring, place, signature.NewSecret())
	for _, other := range [][]byte{secretsOf("sub_2", target), secretsOf("sub_1", "https://evil.example/"), secretsOf("sub_1", "")} {
		if _, err := openKeys(ring, other, sealed, time.Now()); !errors.Is(err, datastore.ErrNotAuthentic) {
			t.Errorf("%s: %v", other, err)
		}
	}
	for _, broken := range []string{"", "x", `{"secret":"whsec_x"}`, `{}`, `[{"secret":"whsec_x"}]`, `{"secrets":[{"secret":"whsec_x"}]}`} {
		if _, err := openKeys(ring, place, ring.Seal([]byte(broken), place), time.Now()); err == nil {
			t.Errorf("%q can be opened", broken)
		}
	}
	plain, err := ring.Open(sealed, []byte("subscription/sub_1/secrets/"+target))
	var stored confidential
	if err != nil || json.Unmarshal(plain, &stored) != nil || len(stored.Secrets) != 1 || stored.Secrets[0].Until != 0 {
		t.Errorf("sealed: %v", err)
	}
}

func TestReencrypt(t *testing.T) {
	e := start(t, site)
	first, second := datastore.NewKey(), datastore.NewKey()
	e.path += ".2" // with keys of its own
	e.load("encryption_keys "+first, site)
	ids := []string{e.subscribe("alice", "p1").id(), e.subscribe("alice", "p2").id(), e.subscribe("bob", "p1").id()}
	want := make(map[string][]string)
	for _, id := range ids {
		want[id] = e.secrets(id)
	}
	e.load("encryption_keys "+second+" "+first, site)
	rotated := e.do("alice", "POST", "/subscriptions/"+ids[0]+"/secret", "")
	want[ids[0]] = slices.Insert(want[ids[0]], 0, rotated.body["secret"].(string))

	for _, count := range []string{"2", "0"} {
		got := (&edge{t: t, addr: e.admin}).do("", "POST", "/connector/keys/rotate", "")
		if !strings.Contains(got.text, `"reencrypted":`+count) {
			t.Fatalf("answer %d %s, want %s", got.StatusCode, got.text, count)
		}
	}
	e.load("encryption_keys "+second, site)
	for _, id := range ids {
		if got := e.secrets(id); !slices.Equal(got, want[id]) {
			t.Errorf("%s has other secrets", id)
		}
	}

	// what no key opens is an error, and stays
	e.exec("UPDATE connector_subscriptions SET sealed = x'0100' WHERE id = $1", ids[1])
	if _, err := sealedSecrets.Reencrypt(context.Background(), e.db(), e.ring()); err == nil {
		t.Error("broken secrets are no error")
	}
}

func TestReencryptInBatches(t *testing.T) {
	e := start(t, site)
	key := datastore.NewKey()
	e.path += ".2"
	e.load("encryption_keys "+key, site)
	id := e.subscribe("alice", "p1").id()
	ring := e.ring()
	plain, err := ring.Open(e.sealed(id), secretsOf(id, target))
	if err != nil {
		t.Fatal(err)
	}
	err = e.db().Write(context.Background(), func(ctx context.Context, tx *datastore.Tx) error {
		for range datastore.ReencryptBatch {
			another := newID()
			_, err := tx.Exec(ctx, `INSERT INTO connector_subscriptions
				(id, owner, target_url, resource_type, resource_id, events, status, ordered, sealed, created_at, updated_at)
				SELECT $1, owner, target_url, resource_type, resource_id, events, status, ordered, $2, created_at, updated_at FROM connector_subscriptions WHERE id = $3`, another, ring.Seal(plain, secretsOf(another, target)), id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.load("encryption_keys "+datastore.NewKey()+" "+key, site)
	if n, err := sealedSecrets.Reencrypt(context.Background(), e.db(), e.ring()); n != datastore.ReencryptBatch+1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
