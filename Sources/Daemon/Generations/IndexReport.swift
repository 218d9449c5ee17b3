import IdentifierIndex
import Logging
import SQLiteStore
import Core

extension IdentifierIndex {
    /// Logs what was done when the index was opened, if it was more than to open it.
    func report(to logger: Logger) {
        let generation = Logger.MetadataValue.stringConvertible(identity.generation)
        opening.report(of: "index", to: logger, metadata: ["generation": generation])
        guard case .written(let aside) = journalOpening else { return }
        if let aside {
            logger.warning(
                "the journal could not be used and was written again from the index",
                metadata: ["generation": generation, "aside": "\(aside)"])
        } else {
            logger.info("the index has a journal from now on", metadata: ["generation": generation])
        }
    }
}

extension DaemonState {
    /// Logs a compaction of an index's journal, and reports one that failed in the status until one succeeds.
    func report(_ result: Result<JournalCompaction, any Error>, of generation: Int, to logger: Logger) {
        switch result {
        case .success(let done):
            note(.journal(generation), nil)
            logger.info(
                "the journal was compacted",
                metadata: [
                    "generation": "\(generation)", "before": "\(done.before)", "after": "\(done.after)",
                    "took": "\(done.took.seconds)", "blocked": "\(done.blocked.seconds)",
                ])
        case .failure(let error):
            if note(.journal(generation), error) {
                logger.error(
                    "the journal could not be compacted",
                    metadata: ["generation": "\(generation)", "error": "\(error)"])
            }
        }
    }
}

extension IndexIdentity {
    /// Reports what an index keeps although the configuration or the program has changed: its collision policy to the log,
    /// and the arithmetic that it was begun with to the status too.
    func report(configured policy: CollisionPolicy, arithmetic present: String, state: DaemonState, logger: Logger) {
        if self.policy != policy {
            logger.notice(
                "the generation keeps its collision policy; the configured one is for generations published from now on",
                metadata: [
                    "generation": "\(generation)", "policy": "\(self.policy.rawValue)",
                    "configured": "\(policy.rawValue)",
                ])
        }
        let other = arithmetic.flatMap { $0 == present ? nil : $0 }
        if state.note(
            .arithmetic(generation), other.map { DaemonError.arithmetic(of: generation, $0, present: present) }),
            let other
        {
            logger.warning(
                "the index was begun with another arithmetic",
                metadata: ["generation": "\(generation)", "arithmetic": "\(other)", "present": "\(present)"])
        }
    }
}

extension SQLiteStore.Opening {
    /// Logs what was done to a database before it was used.
    func report(of what: String, to logger: Logger, metadata: Logger.Metadata = [:]) {
        if let checked {
            logger.notice(
                "the \(what) was not closed cleanly and was checked: it is sound",
                metadata: metadata.merging(["took": "\(checked.seconds)"]) { $1 })
        }
        if let migrated {
            logger.notice(
                "the \(what) has a new schema; a copy of the old one is kept",
                metadata: metadata.merging(["from": "\(migrated.from)", "copy": "\(migrated.backup)"]) { $1 })
        }
    }
}

extension GenerationPipeline {
    /// Loads the trie into memory in the background; until then, and if that fails, the index itself answers.
    func loadTrie(state: DaemonState, logger: Logger) {
        index.loadTrie { [number] result in
            let generation = Logger.MetadataValue.stringConvertible(number)
            switch result {
            case .success(let load):
                state.note(.trie(number), nil)
                logger.info(
                    "trie is in memory",
                    metadata: [
                        "generation": generation, "items": "\(load.items)", "bytes": "\(load.bytes)",
                        "from": load.fromFile ? "file" : "index", "took": "\(load.took.seconds)",
                    ])
            case .failure(is CancellationError): break
            case .failure(let error):
                logger.error("no trie in memory", metadata: ["generation": generation, "error": "\(error)"])
                state.note(.trie(number), error)
            }
        }
    }
}
