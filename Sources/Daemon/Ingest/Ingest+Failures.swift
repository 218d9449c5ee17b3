import Core
import Catalog

/// What a failure means for the loop.
extension Ingest {
    /// Whether an fsync failed. Nobody knows then what is on the disk, and a later fsync that succeeds says nothing of
    /// it: only a new start can find out.
    static func isFatal(_ error: any Error) -> Bool {
        (error as? any Failure)?.isFatal ?? false
    }

    /// Whether an error concerns the generation it was met with, and not the catalog, the disk or the process.
    static func isOfOneGeneration(_ error: any Error) -> Bool {
        switch error {
        case is CatalogError, is CancellationError: false
        default: !isFatal(error)
        }
    }
}
