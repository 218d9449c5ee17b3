import GRDB
import SQLiteStore
import Core

/// The rows of the table `tally`.
extension Tally {
    /// The counts under the names of their rows.
    var rows: [(name: String, value: Int)] {
        [
            ("live", live), ("stale", stale), ("quarantined", quarantined), ("collisions", collisions),
            ("tombstones", tombstones),
        ]
    }

    /// Reads the counts that a connection sees.
    init(_ database: Database) throws {
        let statement = try PreparedStatement(database, "SELECT name, value FROM tally")
        while try statement.step() {
            let value = statement.integer(1)
            switch statement.text(0) {
            case "live": live = value
            case "stale": stale = value
            case "quarantined": quarantined = value
            case "collisions": collisions = value
            default: tombstones = value
            }
        }
    }

    /// Writes those counts that differ from `old`.
    func write(_ database: Database, replacing old: Tally) throws {
        let statement = try PreparedStatement(database, "UPDATE tally SET value = ? WHERE name = ?")
        for (new, old) in zip(rows, old.rows) where new.value != old.value {
            statement.bind(1, new.value)
            statement.bind(2, text: new.name)
            try statement.run()
        }
    }
}
