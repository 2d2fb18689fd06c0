"""Polymarket's catalogue and data services in full: markets and events (Gamma), positions and trades.

What a market is decided by is required; everything that only describes it may be missing. Numbers are
`Decimal`, written by the venue as text or as JSON numbers; times are text.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec


class GammaReward(msgspec.Struct, gc=False):
    """Rewards of a market."""

    id: str
    conditionId: str
    assetAddress: str | None = None
    rewardsAmount: Decimal | None = None
    rewardsDailyRate: Decimal | None = None
    startDate: str | None = None
    endDate: str | None = None


class GammaSeries(msgspec.Struct, gc=False):
    """Events that repeat."""

    id: str
    slug: str
    title: str
    ticker: str | None = None
    seriesType: str | None = None
    recurrence: str | None = None
    image: str | None = None
    icon: str | None = None
    active: bool | None = None
    closed: bool | None = None
    archived: bool | None = None
    featured: bool | None = None
    restricted: bool | None = None
    createdAt: str | None = None
    updatedAt: str | None = None
    volume24hr: Decimal | None = None
    volume: Decimal | None = None
    liquidity: Decimal | None = None
    commentCount: int | None = None
    requiresTranslation: bool | None = None


class GammaTag(msgspec.Struct, gc=False):
    """What an event is about."""

    id: str
    label: str
    slug: str
    forceShow: bool | None = None
    createdAt: str | None = None
    updatedAt: str | None = None
    requiresTranslation: bool | None = None
    publishedAt: str | None = None
    createdBy: int | None = None
    updatedBy: int | None = None
    forceHide: bool | None = None
    isCarousel: bool | None = None


class GammaMarket(msgspec.Struct, gc=False):
    """One market of the catalogue. `outcomes`, `outcomePrices` and `clobTokenIds` are lists in text."""

    id: str
    question: str
    conditionId: str
    slug: str
    active: bool
    closed: bool
    resolutionSource: str | None = None
    endDate: str | None = None
    startDate: str | None = None
    image: str | None = None
    icon: str | None = None
    description: str | None = None
    outcomes: str | None = None
    outcomePrices: str | None = None
    volume: Decimal | None = None
    marketMakerAddress: str | None = None
    createdAt: str | None = None
    updatedAt: str | None = None
    new: bool | None = None
    featured: bool | None = None
    archived: bool | None = None
    restricted: bool | None = None
    groupItemThreshold: str | None = None
    questionID: str | None = None
    enableOrderBook: bool | None = None
    orderPriceMinTickSize: Decimal | None = None
    orderMinSize: Decimal | None = None
    volumeNum: Decimal | None = None
    endDateIso: str | None = None
    startDateIso: str | None = None
    hasReviewedDates: bool | None = None
    clobTokenIds: str | None = None
    volumeClob: Decimal | None = None
    acceptingOrders: bool | None = None
    negRisk: bool | None = None
    ready: bool | None = None
    funded: bool | None = None
    acceptingOrdersTimestamp: str | None = None
    cyom: bool | None = None
    pagerDutyNotificationEnabled: bool | None = None
    approved: bool | None = None
    rewardsMinSize: Decimal | None = None
    rewardsMaxSpread: Decimal | None = None
    spread: Decimal | None = None
    lastTradePrice: Decimal | None = None
    bestBid: Decimal | None = None
    bestAsk: Decimal | None = None
    automaticallyActive: bool | None = None
    clearBookOnStart: bool | None = None
    showGmpSeries: bool | None = None
    showGmpOutcome: bool | None = None
    manualActivation: bool | None = None
    negRiskOther: bool | None = None
    umaResolutionStatuses: str | None = None
    pendingDeployment: bool | None = None
    deploying: bool | None = None
    rfqEnabled: bool | None = None
    holdingRewardsEnabled: bool | None = None
    feesEnabled: bool | None = None
    requiresTranslation: bool | None = None
    feeType: str | None = None
    liquidity: Decimal | None = None
    liquidityNum: Decimal | None = None
    volume24hr: Decimal | None = None
    volume1wk: Decimal | None = None
    volume1mo: Decimal | None = None
    volume1yr: Decimal | None = None
    volume24hrClob: Decimal | None = None
    volume1wkClob: Decimal | None = None
    volume1moClob: Decimal | None = None
    volume1yrClob: Decimal | None = None
    liquidityClob: Decimal | None = None
    makerBaseFee: Decimal | None = None
    takerBaseFee: Decimal | None = None
    events: list[GammaEvent] | None = None
    competitive: Decimal | None = None
    eventStartTime: str | None = None
    makerRebatesFeeShareBps: Decimal | None = None
    closedTime: str | None = None
    submitted_by: str | None = None
    resolvedBy: str | None = None
    groupItemTitle: str | None = None
    gameStartTime: str | None = None
    umaBond: Decimal | None = None
    umaReward: Decimal | None = None
    customLiveness: int | None = None
    negRiskRequestID: str | None = None
    clobRewards: list[GammaReward] | None = None
    oneDayPriceChange: Decimal | None = None
    oneHourPriceChange: Decimal | None = None
    oneWeekPriceChange: Decimal | None = None
    oneMonthPriceChange: Decimal | None = None
    seriesColor: str | None = None
    deployingTimestamp: str | None = None
    negRiskMarketID: str | None = None


class GammaEvent(msgspec.Struct, gc=False):
    """Markets that belong together."""

    id: str
    slug: str
    title: str
    active: bool
    closed: bool
    ticker: str | None = None
    description: str | None = None
    resolutionSource: str | None = None
    startDate: str | None = None
    creationDate: str | None = None
    endDate: str | None = None
    image: str | None = None
    icon: str | None = None
    archived: bool | None = None
    new: bool | None = None
    featured: bool | None = None
    restricted: bool | None = None
    liquidity: Decimal | None = None
    volume: Decimal | None = None
    openInterest: Decimal | None = None
    sortBy: str | None = None
    createdAt: str | None = None
    updatedAt: str | None = None
    competitive: Decimal | None = None
    volume24hr: Decimal | None = None
    volume1wk: Decimal | None = None
    volume1mo: Decimal | None = None
    volume1yr: Decimal | None = None
    enableOrderBook: bool | None = None
    liquidityClob: Decimal | None = None
    negRisk: bool | None = None
    negRiskMarketID: str | None = None
    commentCount: int | None = None
    markets: list[GammaMarket] | None = None
    tags: list[GammaTag] | None = None
    cyom: bool | None = None
    showAllOutcomes: bool | None = None
    showMarketImages: bool | None = None
    enableNegRisk: bool | None = None
    automaticallyActive: bool | None = None
    startTime: str | None = None
    gmpChartMode: str | None = None
    negRiskAugmented: bool | None = None
    countryName: str | None = None
    electionType: str | None = None
    estimateValue: bool | None = None
    cumulativeMarkets: bool | None = None
    pendingDeployment: bool | None = None
    deploying: bool | None = None
    deployingTimestamp: str | None = None
    requiresTranslation: bool | None = None
    series: list[GammaSeries] | None = None
    seriesSlug: str | None = None


class PositionRow(msgspec.Struct, gc=False):
    """One position of a wallet."""

    proxyWallet: str
    asset: str
    conditionId: str
    size: Decimal
    outcome: str
    outcomeIndex: int
    avgPrice: Decimal | None = None
    initialValue: Decimal | None = None
    currentValue: Decimal | None = None
    cashPnl: Decimal | None = None
    percentPnl: Decimal | None = None
    totalBought: Decimal | None = None
    realizedPnl: Decimal | None = None
    percentRealizedPnl: Decimal | None = None
    curPrice: Decimal | None = None
    redeemable: bool | None = None
    mergeable: bool | None = None
    title: str | None = None
    slug: str | None = None
    icon: str | None = None
    eventSlug: str | None = None
    oppositeOutcome: str | None = None
    oppositeAsset: str | None = None
    endDate: str | None = None
    negativeRisk: bool | None = None


class PublicTradeRow(msgspec.Struct, gc=False):
    """One trade of the data service."""

    proxyWallet: str
    side: str
    asset: str
    conditionId: str
    size: Decimal
    price: Decimal
    timestamp: int
    title: str | None = None
    slug: str | None = None
    icon: str | None = None
    eventSlug: str | None = None
    outcome: str | None = None
    outcomeIndex: int | None = None
    name: str | None = None
    pseudonym: str | None = None
    bio: str | None = None
    profileImage: str | None = None
    profileImageOptimized: str | None = None
    transactionHash: str | None = None
