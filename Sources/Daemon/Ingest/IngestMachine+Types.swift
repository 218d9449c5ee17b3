import Core

/// The actions, the events and the state of the machine.
extension IngestMachine {
    /// What is to be done now.
    enum Action: Sendable, Equatable {
        /// Read the catalog's version. Answered by `polled` or `pollFailed`.
        case poll
        /// Open a generation that is in the registry. Answered by `opened` or `openFailed`.
        case open(Int)
        /// Begin or continue bringing a generation's index up to date, by one chunk; as many deletions as `confirmed`
        /// may be applied although they are many. Answered by `advanced` or `advanceFailed`.
        case advance(Int, confirmed: Int)
        /// Record in the registry that a generation's index is complete. Answered by `settled` or `settleFailed`.
        case settle(Int)
        /// Make a generation the active one. Answered by `activated` or `activateFailed`.
        case activate(Int)
        /// Close the index of a generation that is no longer at work. Answered by `closed`.
        case close(Int)
        /// Examine how well a generation's tokenizer fits the catalog. Answered by `examined`.
        case examine(Int)
        /// Record in the registry that a generation cannot be opened. Answered by nothing.
        case markFailed(Int)
        /// Answer a request to promote. Answered by nothing.
        case answer(Request.ID, Answer)
        /// Wait until the catalog has another version than this one (nil: the catalog is not watched), a request comes,
        /// or the time has come. Answered by `woke`.
        case wait(CatalogVersion?, until: Instant?)
    }

    /// Something that others asked for.
    struct Request: Sendable, Equatable {
        typealias ID = Int

        enum Kind: Sendable, Equatable {
            /// Start to work on a generation that was just registered.
            case adopt
            /// Make a generation the active one.
            case promote(ID)
        }

        var generation: Int
        var kind: Kind
    }

    /// The answer to a request to promote.
    enum Answer: Sendable, Equatable {
        case done
        /// The index of this generation was never complete.
        case isBuilding(Int)
        /// The last action on this generation failed.
        case failed(Int)
    }

    /// How much work a failure stops.
    enum FailureScope: Sendable, Equatable {
        /// The catalog cannot be read: nothing can be followed.
        case catalog
        /// One generation cannot follow; the others can.
        case generation
    }

    /// How an `advance` ended.
    enum Advance: Sendable, Equatable {
        /// There are more chunks.
        case more
        /// The index answers this version.
        case finished(CatalogVersion)
        /// All is done but for deletions, which wait for confirmation.
        case held(HeldDeletions)
    }

    /// What is known of the catalog.
    enum CatalogCondition: Sendable, Equatable {
        /// It has to be polled before anything is decided by its version: at start, after a wait, and after a chunk of a
        /// generation that is not the active one (the active one may have fallen behind meanwhile).
        case unknown
        /// Its version when it was last polled, or a newer one that a comparison saw.
        case seen(CatalogVersion)
        /// It could not be read; it is not tried again before this time.
        case unreadable(until: Instant)
    }

    /// A generation at work.
    struct Generation: Sendable, Equatable {
        /// What it is doing.
        enum Phase: Sendable, Equatable {
            /// Nothing: it answers `answered`, or has not begun.
            case idle
            /// Chunks of a comparison remain. A promotion of this generation waits for them: beginning another
            /// comparison now would let the rest of this one overwrite newer work.
            case catchingUp
            /// Deletions wait for confirmation or for another commit; time alone changes nothing.
            case holding(HeldDeletions)
            /// It failed and is tried again at this time.
            case retrying(at: Instant)
        }

        let number: Int
        var phase = Phase.idle
        /// The version that its index answers; nil before its first build is complete.
        var answered: CatalogVersion?
        /// Whether the registry knows that the index was complete once; only then can it be promoted.
        var isComplete: Bool
        /// Whether it was recorded since this start that the index is complete, and active if there is no other. A crash
        /// between the two records, or before them, is repaired by writing both again.
        var isSettled: Bool
        /// How many deletions the next catch-up may apply although they are many.
        var confirmed = 0
        /// Whether the fit of its tokenizer was examined since it was opened. That reads the whole index, so it waits until
        /// there is nothing else to do.
        var isExamined = false
        /// How long to wait after the next failure.
        var pause = IngestMachine.firstRetry

        /// Whether something can be done about this version of the catalog now.
        func hasWork(_ version: CatalogVersion, now: Instant) -> Bool {
            switch phase {
            case .idle: answered != version
            case .catchingUp: true
            case .holding(let held): held.version != version || confirmed > 0
            case .retrying(let time): time <= now && answered != version
            }
        }

        /// Whether the registry has to record that the index is complete.
        func mustSettle(now: Instant) -> Bool {
            guard !isSettled, answered != nil else { return false }
            switch phase {
            case .idle: return true
            case .retrying(let time): return time <= now
            case .catchingUp, .holding: return false
            }
        }
    }

    /// A promotion under way.
    struct Promotion: Sendable, Equatable {
        enum Stage: Sendable, Equatable {
            /// The generation is not at work and has to be opened. One that was opened for a promotion that then failed
            /// is closed again.
            case opening
            /// The catalog's present version has to be known first, so that the generation answers what is there now.
            case polling
            /// Its index is brought up to date.
            case catchingUp
            /// It becomes the active one.
            case activating
        }

        let id: Request.ID
        let generation: Int
        var stage: Stage
        /// Whether it was opened for this promotion.
        var wasOpened = false
    }
}

/// Deletions that were found in a version of the catalog and not applied.
struct HeldDeletions: Sendable, Hashable {
    var version: CatalogVersion
    var deletions: Int
    /// Items that the index knew.
    var items: Int

    /// Whether so many deletions wait for confirmation (rule 7): more than a fifth of the items.
    var isMany: Bool { deletions * 5 > items }
}
