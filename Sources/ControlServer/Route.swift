import ControlAPI
import Core

/// What a request asks for, with the parameters of its path and query. `RouteTable` has the paths.
enum Route: Sendable, Hashable {
    case status
    case lookupItems
    case item(ItemID)
    case lookupIdentifiers
    case next
    case identifiersBelow(prefix: Identifier, limit: Int, after: Identifier?)
    case collisions(limit: Int, after: ItemID?)
    case quarantine(limit: Int, after: ItemID?)
    case generations
    case upload(UploadName, ModelFile)
    case publish
    case promote(Int)
    case confirm
    case wait
    case dump
    case metrics
    case doctor(deep: Bool)
    case verify(generation: Int?)
}
