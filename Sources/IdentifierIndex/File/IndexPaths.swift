/// Where the files of an index are: `index.sqlite` and its siblings in the same folder.
struct IndexPaths: Sendable {
    /// The database.
    let database: String

    init(_ database: String) { self.database = database }

    /// The record of all assignments, from which the database can be made again.
    var journal: String { sibling("journal") }
    /// The trie of a closed index, so that the next start need not read every row for it.
    var trie: String { sibling("trie") }
    /// The database that `IndexRebuild` makes, until it is in place.
    var rebuilt: String { sibling("rebuild.sqlite") }
    /// The database that `IndexRebuild` replaced.
    var damaged: String { sibling("damaged.sqlite") }

    /// `index.sqlite` → `index.NAME`.
    private func sibling(_ name: String) -> String {
        (database.hasSuffix(".sqlite") ? String(database.dropLast("sqlite".count)) : database + ".") + name
    }
}
