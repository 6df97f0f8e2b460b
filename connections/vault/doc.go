// Package vault keeps users' connections to third-party APIs: whose they are, the
// variables and the credentials. It is what the handler of connections and the
// refreshing of OAuth2 tokens stand upon.
//
// # Served from memory
//
// Find returns a connection with its credentials. What is in memory costs no
// database statement, waits for no lock and allocates nothing.
//
// With SQLite this process is alone with the file, and a change is seen at once. On
// PostgreSQL, the change of another node is told by NOTIFY in the transaction that
// makes it, so it is seen a moment after its commit. As a node cannot know that it
// was told nothing, it asks: what is in memory counts only while the connection on
// which it listens has answered within the last MaxStale, 5 seconds, and if not,
// for MaxStale after it was read. After that connection was lost, everything is
// read again once. So a connection that was changed or deleted is never used by
// another node for longer than MaxStale, whatever breaks; when the database is
// away, connections cannot be used any more after that time.
//
// # At rest
//
// Each credential is sealed by itself, bound to its owner, connection, API, scheme
// and version, and to the connection's variables, which say where it is sent. Who
// can write to the database, but lacks the keys, can delete and damage, and can put
// back all rows of a connection as they were once; but a credential that is moved to
// another place does not open, nor does one that would be sent elsewhere. Such a
// connection is ErrUnreadable until its credential is set anew. What another node has
// sealed with a key that this one lacks is ErrKeyMissing: nothing is wrong with it.
//
// Only Find, Load, Wait and Save open credentials. What the other methods return has
// none.
//
// # Refreshing tokens
//
// A credential has a version of its own, which only a change of itself raises. It
// is the fence of a refresh: Save stores a token over the version that it was got
// for and over no other, while a new name or the result of a test that comes meanwhile does
// no harm. Lease keeps two nodes from refreshing at a time, by the database's clock.
package vault
