package integration

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A person signs in in a browser, at an edge with TLS and at one of this machine
// without: the flow's cookie is a Secure one.
func TestSignInInABrowser(t *testing.T) {
	t.Run("http", func(t *testing.T) { signInInABrowser(t, "http://localhost:8080") })
	t.Run("https", func(t *testing.T) {
		signInInABrowser(t, "https://localhost:8080",
			"http://127.0.0.1:8080, http://localhost:8080 {", "https://localhost:8080 {\n\ttls internal", "http://localhost:8080", "https://localhost:8080")
	})
}

// signInInABrowser is what a person does with the quickstart: connect a calendar from
// the app's page, choose from it, end the grant, sign in again with less, and not at all.
func signInInABrowser(t *testing.T, edge string, oldnew ...string) {
	b := newBrowser(t)
	ports := startQuickstart(t, oldnew...)
	app, apps := ports.Replace(edge+"/app/"), ports.Replace("http://127.0.0.1:8089/apps")
	b.open(strings.Replace(app, "//", "//alice:alice@", 1)) // the browser knows the password from here on

	b.open(app)
	b.click("#connect")
	b.is("main h1", "Planner wants to use your calendar")
	if at := b.eval("location.origin"); at != ports.Replace("http://127.0.0.1:8089") { // another site than the edge's
		t.Errorf("signs in at %s", at)
	}
	b.click(`input[value="alice@home.example"]`)
	b.click("button.main")

	b.is("#said", "Your calendar is connected.")
	b.is("#calendars", "Team\nalice@home.example")
	if at := b.eval("location.href"); at != app {
		t.Errorf("came back to %s", at)
	}
	if status := b.status(); status != "active" {
		t.Errorf("the connection is %s", status)
	}
	b.click("#choose button")
	b.is("#said", "You plan in Team.")
	b.click("#test")
	b.is("#said", "The connection works.")

	b.open(apps)
	b.is("main li small", "calendars.read events.read")
	b.click("main li button")
	b.is("main p:last-child", "None does.")
	b.open(app)
	b.is("#said", "The user must connect to the API again.")
	if status := b.status(); status != "reauth_required" {
		t.Errorf("the connection is %s", status)
	}

	b.click("#connect")
	b.click(`input[value="calendars.read"]`)
	b.click("button.main")
	b.is("#said", "You have not allowed the planner to see which calendars you have.")
	b.click("#test")
	b.is("#said", "The connection does not work: scope calendars.read")

	b.click("#connect")
	b.click("button[name=deny]")
	b.is("#said", "You have not allowed the planner in.")
	b.click("#disconnect")
	b.is("#said", "See your calendars here.")
	b.open(apps)
	b.is("main p:last-child", "None does.") // disconnecting has revoked
}

// browser is a Chromium that nobody sees.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// newBrowser starts a Chromium. Without one on the machine it skips the test; on CI
// (CI is set) the test fails.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must have chromium")
		}
		t.Skip("left out: signing in in a browser, because this machine has no chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.NoSandbox) // root has no sandbox; the pages are our own
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &browser{t, ctx}
}

func (b *browser) open(location string) {
	b.t.Helper()
	b.do("open "+location, chromedp.Navigate(location))
}

// click waits until there is something to click on.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// do is what a person does, who waits for a minute.
func (b *browser) do(what string, action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		b.t.Fatalf("%s: %v, at %s:\n%s", what, err, b.eval("location.href"), b.eval("document.body.innerText"))
	}
}

// is waits until a part of the page has a text.
func (b *browser) is(selector, text string) {
	b.t.Helper()
	script := "document.querySelector(" + strconv.Quote(selector) + ")?.innerText?.trim() ?? ''"
	for deadline := time.Now().Add(time.Minute); b.eval(script) != text; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is %q, not %q, at %s:\n%s", selector, b.eval(script), text, b.eval("location.href"), b.eval("document.body.innerText"))
		}
	}
}

// status is that of the one connection that the user has.
func (b *browser) status() string {
	b.t.Helper()
	return b.eval(`fetch("/api/connect/v1/connectors/calendar/connections").then(r => r.json()).then(list => list.connections.map(c => c.status).join())`)
}

// eval returns the text that a script gives, or why there is none: the page may be
// another one already.
func (b *browser) eval(script string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		return err.Error()
	}
	return text
}
