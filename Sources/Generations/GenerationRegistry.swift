import Files
import GRDB
package import SQLiteStore
package import Tokenizer
import Core

/// Where a generation is in its life.
package enum GenerationStage: String, Sendable {
    case building, candidate, active, retired, failed
}

/// A row of the registry.
package struct GenerationRecord: Sendable, Hashable {
    package var number: Int
    package var stage: GenerationStage
    /// Milliseconds since 1970.
    package var created: Int
    /// When it last became active.
    package var promoted: Int?
    /// SHA-256 of its tensors, in hexadecimal.
    package var model: String
    /// Why it failed.
    package var detail: String
}

/// The registry of generations: which exist, and which one is active. The active pointer is the state of one row.
package final class GenerationRegistry: Sendable {
    private let state: StateDirectory
    private let store: SQLiteStore

    /// What was done to the registry's file when it was opened.
    package var opening: SQLiteStore.Opening { store.opening }

    /// The files of a model.
    private static let files = [ModelDirectory.manifestName, ModelDirectory.weightsName]

    /// 'LTRR'.
    private static let applicationID: Int32 = 0x4C54_5252

    /// Opens the registry of a state directory, or makes it; removes folders of publications that never happened.
    ///
    /// - Throws: `StoreError`; `generations.registry_lost` if there is none, or an empty file, where there was one.
    package init(state: StateDirectory) throws {
        self.state = state
        try Self.confirmPresence(state)
        store = try SQLiteStore(
            path: state.registry,
            settings: .init(
                applicationID: Self.applicationID, migrations: Migrations(schema: PackageResources.registry_sql),
                repair: "Stop letterd, and put the copy letterd.backup.sqlite in its place, or a backup of your own."))
        if !FileSystem.exists(state.registryBackup) { try backUp() }
        let known = Set(try generations().map { state.generation($0.number) })
        for name in try FileSystem.list(state.path + "/generations") {
            // A folder becomes a generation by its row; without one, the process died between the two.
            let path = state.path + "/generations/" + name
            if !known.contains(path) { try FileSystem.removeTree(path) }
        }
    }

    /// Refuses to make a new registry in the place of a lost one: no generation would be known, and all be removed.
    private static func confirmPresence(_ state: StateDirectory) throws {
        if FileSystem.exists(state.registry), try OpenFile(state.registry, .read).size() > 0 { return }
        let hasBackup = FileSystem.exists(state.registryBackup)
        guard try hasBackup || !FileSystem.list(state.path + "/generations").isEmpty else { return }
        throw GenerationsError(
            .registryLost, "The state \(state.path) has had generations, but \(state.registry) is missing or empty.",
            remedy: hasBackup
                ? "Copy letterd.backup.sqlite to letterd.sqlite, which was copied after the last change."
                : "Restore letterd.sqlite from a backup; to start over, move the folder 'generations' away.")
    }

    /// Closes the registry.
    package func close() throws { try store.close() }

    /// All generations, oldest first.
    package func generations() throws -> [GenerationRecord] {
        try store.read { database in
            try Row.fetchAll(
                database, sql: "SELECT number, state, created, promoted, model, detail FROM generation ORDER BY number"
            ).map { row in
                GenerationRecord(
                    number: row["number"], stage: GenerationStage(rawValue: row["state"]) ?? .failed,
                    created: row["created"], promoted: row["promoted"], model: row["model"], detail: row["detail"])
            }
        }
    }

    /// One generation.
    ///
    /// - Throws: `generations.unknown`.
    package func generation(_ number: Int) throws -> GenerationRecord {
        guard let record = try generations().first(where: { $0.number == number }) else {
            throw GenerationsError(
                .unknown, "There is no generation \(number).", remedy: "`letter generation list` shows those there are."
            )
        }
        return record
    }

    /// The tokenizer of a generation.
    package func model(_ number: Int) throws -> TokenizerModel {
        try ModelDirectory.load(state.generation(number))
    }

    /// Makes a generation, `building`, of an uploaded model.
    ///
    /// The files are moved out of the upload, validated, put into a folder that appears whole and durable, and only then
    /// registered: a crash leaves either a generation or nothing. One call at a time.
    ///
    /// - Parameter check: throws if the model is not to be published.
    /// - Throws: `generations.incomplete_upload`; what `ModelDirectory.load` finds wrong; `StoreError`, `FilesError`.
    package func publish(
        upload name: String, now: Int, check: (TokenizerModel) throws -> Void
    ) throws -> (record: GenerationRecord, model: TokenizerModel) {
        let upload = state.upload(name)
        for file in Self.files where !FileSystem.exists(upload + "/" + file) {
            throw GenerationsError(
                .incompleteUpload, "The upload '\(name)' has no \(file).",
                remedy: "Send \(Self.files.joined(separator: " and ")) before publishing.")
        }
        // The upload is used up, whether this succeeds or not.
        defer { try? FileSystem.removeTree(upload) }
        let number = (try generations().last?.number ?? 0) + 1
        // A folder of this number has no row: it was left by a publication that failed after its rename.
        try FileSystem.removeTree(state.generation(number))
        let publisher = try DirectoryPublisher(target: state.generation(number))
        for file in Self.files {
            try FileSystem.renameNew(upload + "/" + file, to: publisher.temporary + "/" + file)
        }
        // Checked where no client can change them any more.
        let model = try ModelDirectory.load(publisher.temporary)
        try check(model)
        let digest = try ModelDirectory.manifest(publisher.temporary).weights.sha256
        try publisher.publish()
        let record = GenerationRecord(
            number: number, stage: .building, created: now, promoted: nil, model: digest, detail: "")
        try store.write { database in
            try database.execute(
                sql: "INSERT INTO generation (number, state, created, model) VALUES (?, 'building', ?, ?)",
                arguments: [number, now, record.model])
            try audit(database, "publish", number, record.model, now)
        }
        try backUp()
        return (record, model)
    }

    /// The index of a generation under construction is complete.
    package func markCandidate(_ number: Int) throws {
        try store.write { database in
            try database.execute(
                sql: "UPDATE generation SET state = 'candidate' WHERE number = ? AND state = 'building'",
                arguments: [number])
        }
        try backUp()
    }

    /// A generation that was never active cannot be used, and why.
    package func markFailed(_ number: Int, detail: String, now: Int) throws {
        try store.write { database in
            try database.execute(
                sql: """
                    UPDATE generation SET state = 'failed', detail = ? WHERE number = ? AND state IN ('building', 'candidate')
                    """, arguments: [detail, number])
            try audit(database, "fail", number, detail, now)
        }
        try backUp()
    }

    /// Makes a generation the active one and retires the one that was, in one transaction.
    ///
    /// - Throws: `generations.unknown`; `generations.not_ready` if its index was never complete.
    package func promote(_ number: Int, now: Int) throws {
        let record = try generation(number)
        guard record.stage == .candidate || record.stage == .retired || record.stage == .active else {
            throw GenerationsError(
                .notReady, "Generation \(number) is \(record.stage.rawValue).",
                remedy: "Wait until `letter generation list` shows it as a candidate, or publish the model again.")
        }
        guard record.stage != .active else { return }
        try store.write { database in
            try database.execute(sql: "UPDATE generation SET state = 'retired' WHERE state = 'active'")
            try database.execute(
                sql: "UPDATE generation SET state = 'active', promoted = ? WHERE number = ?", arguments: [now, number])
            try audit(database, "promote", number, "", now)
        }
        try backUp()
    }

    /// Keeps a copy of the registry next to it: it is small, changes seldom, and nothing else records which generation is
    /// the active one.
    private func backUp() throws { try store.backUp(to: state.registryBackup) }

    /// What `PRAGMA quick_check`, or if `deep` `integrity_check`, finds wrong with the registry.
    package func problems(deep: Bool) throws -> [String] {
        deep ? try store.integrityProblems() : try store.quickProblems()
    }

    private func audit(_ database: Database, _ verb: String, _ number: Int, _ detail: String, _ now: Int) throws {
        try database.execute(
            sql: "INSERT INTO audit (at, verb, generation, detail) VALUES (?, ?, ?, ?)",
            arguments: [now, verb, number, detail])
    }
}
