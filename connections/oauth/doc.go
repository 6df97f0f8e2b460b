// Package oauth is the client's side of OAuth 2.0: it gets the access tokens that
// a connection's credential is made of, and gets new ones before they expire.
//
// # The protocol
//
// A Client is one registration with an authorization server. What it speaks:
//
//   - RFC 6749, The OAuth 2.0 Authorization Framework: the grants
//     authorization_code, client_credentials, password and refresh_token. The
//     implicit grant is not there.
//   - RFC 7636, PKCE: every authorization has a challenge, and its method is S256.
//   - RFC 9207: if the Config has an Issuer, an answer to an authorization
//     must name it, so that a code of one server is never sent to another.
//   - RFC 7009, revocation.
//   - RFC 9700, the security best practice: exact redirect URIs are the caller's
//     part; state, PKCE and issuer are here.
//
// Answers of the token endpoint are read strictly where a mistake could do harm: a
// token goes into a header, so it has visible characters only; a redirect is not
// followed; a page in HTML is no answer; what is longer than 64 KiB is not read. They
// are read with patience where servers differ and nothing depends on it: once a
// server has answered, it may have made the old refresh token void, so the new one
// is not thrown away for a lifetime that can't be read.
//
// An Error says what to do about a failure, by its Kind, and holds no text of the
// server's but its error code.
//
// # Refreshing
//
// A Refresher keeps the tokens of many connections fresh, on several nodes that
// share a Store. Refresh tokens often work only once, and many servers take a second
// use for theft and revoke the whole grant. Therefore:
//
//   - In one process, all callers of a connection share one refresh. It doesn't
//     end with the context of any of them.
//   - Between processes, who refreshes has a lease. Others wait for its result, by
//     reading the record again, and take over when the lease ends.
//   - The version of the record is the fence: a token is stored only over the version
//     that it was got for.
//   - A new token is stored before it is used. While the store is away, storing it is
//     tried again; the old refresh token is not sent a second time.
//   - If the server says invalid_grant, the record is read again: another node may have
//     been first. Only if it is still the same, the user must connect again, at once.
//   - While the present token is valid, no failure keeps it from being used. An
//     expired one is never returned.
//   - After a failure the server is left alone, for as long as it asks or else for
//     1 s to 60 s, by all nodes.
//
// If a process is killed between the server's answer and the store, or the answer is
// lost on its way, the token is lost. The next holder of the lease, which ends 20 s
// after it was got, sends the old refresh token again: servers that allow a retry
// answer it, some of them for 30 s only; others say invalid_grant. There is no such
// holder before somebody asks for the token: who starts again after it was killed
// does so with Force.
//
// A token that is fresh costs no lock and no I/O: callers hold the Record in a cache of
// their own, and the Refresher tells that of each new one.
package oauth
